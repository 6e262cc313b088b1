"""The image against rewriters/image.h: layout by the C compiler, content by the reader."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from capwrap.policy import Policy, PolicyError, compile_image
from capwrap.policy import image as module
from capwrap.policy._syscalls import TABLE_SHA256
from capwrap.policy.image import HEADER, NODE, SECTIONS, landlock_scopes, read_image
from capwrap.policy.items import LIMITS, NET_MODES, VIOLATIONS
from capwrap.policy.namespace import NodeFlag, NodeKind

ROOT = Path(__file__).resolve().parents[2]


def compiled(policy: Policy, **environ: str) -> bytes:
    return compile_image(policy, command=None, cwd="/", environ=environ)


def test_the_layout_is_that_of_the_header_file(tmp_path: Path) -> None:
    def enum(prefix: str, names: list[str]) -> str:
        return "".join(f'printf("{name} %d\\n", (int)CW_{prefix}_{name});' for name in names)

    offsets = "".join(f'printf("{name} %zu\\n", offsetof(struct cw_image_header, {name}));' for name in SECTIONS)
    source = tmp_path / "layout.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdio.h>\n"
        f'#include "{ROOT}/rewriters/image.h"\n'
        "int main(void) {"
        'printf("header %zu\\nnode %zu\\n", sizeof(struct cw_image_header), sizeof(struct cw_node));'
        'printf("glob %zu\\ninsn %zu\\n", sizeof(struct cw_glob), sizeof(struct cw_insn));'
        'printf("reloc %zu\\nenv %zu\\n", sizeof(struct cw_reloc), sizeof(struct cw_env));'
        'printf("addr %zu\\nrights %zu\\n", sizeof(struct cw_addr), offsetof(struct cw_node, rights));'
        'printf("limits %zu\\nversion %u\\n", offsetof(struct cw_image_header, limits), CW_IMAGE_VERSION);'
        + offsets
        + enum("NODE", [kind.name for kind in NodeKind] + [str(flag.name) for flag in NodeFlag])
        + enum("NET", [mode.upper() for mode in NET_MODES])
        + enum("VIOLATION", [action.upper() for action in VIOLATIONS])
        + enum("LIMIT", [limit.upper().replace("-", "_") for limit in LIMITS] + ["COUNT"])
        + "return 0; }\n"
    )
    program = tmp_path / "layout"
    subprocess.run(["cc", "-std=c11", "-o", program, source], check=True)
    lines = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    found = {name: int(value) for name, value in (line.split() for line in lines)}
    expected = {
        "header": HEADER.size,
        "node": NODE.size,
        "glob": module.GLOB.size,
        "insn": module.INSN.size,
        "reloc": module.RELOC.size,
        "env": module.ENV.size,
        "addr": module.ADDR.size,
        "rights": NODE.size - 8,
        "limits": HEADER.size - 8 * len(LIMITS),
        "version": module.VERSION,
        "COUNT": len(LIMITS),
    }
    expected |= {name: 88 + 8 * index for index, name in enumerate(SECTIONS)}
    expected |= {kind.name: kind.value for kind in NodeKind}
    expected |= {str(flag.name): flag.value for flag in NodeFlag}
    expected |= {mode.upper(): index for index, mode in enumerate(NET_MODES)}
    expected |= {action.upper(): index for index, action in enumerate(VIOLATIONS)}
    expected |= {limit.upper().replace("-", "_"): index for index, limit in enumerate(LIMITS)}
    assert found == expected


def test_settings_come_back() -> None:
    policy = (
        Policy()
        .env("LANG")
        .env("LC_*")
        .env("A", "b=c")
        .net("loopback")
        .connect("tcp:127.0.0.1:80")
        .bind("tcp:[::1]:*")
        .limit("memory", "1G")
        .limit("processes", 3)
        .allow("memfd-exec")
        .on_violation("errno:EPERM")
        .deny("/x/*.key")
    )
    image = read_image(compiled(policy))
    assert image.env == (("LANG", None), ("LC_*", None), ("A", "b=c"))
    assert image.addresses == ((0, 2, 80, b"\x7f\0\0\1"), (1, 10, 0, b"\0" * 15 + b"\1"))
    scoped = 2 if landlock_scopes() else 0
    assert (image.net, image.violation, image.violation_errno, image.allow) == (1, 0, errno.EPERM, 1 | scoped)
    assert image.limits == (None, 1 << 30, None, 3, None)
    assert image.globs == ("/x/*.key", "/x/*.key/**")
    assert image.table == TABLE_SHA256
    assert image.insns


def test_the_program_follows_net_ioctls_and_the_limit_on_processes() -> None:
    programs = {
        read_image(compiled(policy)).insns
        for policy in (Policy(), Policy().net("host"), Policy().limit("processes", 1), Policy().allow("ioctl:0x1234"))
    }
    assert len(programs) == 4


@pytest.mark.parametrize(("abi", "scoped"), [(0, 0), (1, 0), (5, 0), (6, 2), (7, 2)])
def test_the_program_counts_on_scopes_where_landlock_has_them(
    monkeypatch: pytest.MonkeyPatch, abi: int, scoped: int
) -> None:
    monkeypatch.setattr(module, "landlock_abi", lambda: abi)
    image = read_image(compiled(Policy()))
    assert image.allow == scoped
    monkeypatch.setattr(module, "landlock_abi", lambda: 6 if scoped == 0 else 0)
    assert read_image(compiled(Policy())).insns != image.insns


def test_the_same_policy_is_the_same_image() -> None:
    policy = Policy.profile("base")
    assert compiled(policy) == compiled(policy)


def test_paths_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\xfe")
    (tmp_path / name).mkdir()
    nodes = read_image(compiled(Policy().ro(tmp_path / name))).nodes
    assert nodes[-1].path == f"{tmp_path.resolve()}/{name}"


def test_sections_lie_apart_and_aligned_and_strings_end_in_nul() -> None:
    data = compiled(Policy.profile("base").deny("/usr/*.key").connect("tcp:127.0.0.1:1"))
    fields = HEADER.unpack_from(data)
    assert fields[0] == b"CAPWRAP\0"
    assert fields[3] == len(data)
    assert fields[4] == hashlib.sha256(data[HEADER.size :]).digest()
    sizes = [1, 56, 8, 8, 8, 16, 24]
    places = [(fields[6 + 2 * n], fields[7 + 2 * n] * size) for n, size in enumerate(sizes)]
    assert all(at % 8 == 0 for at, _ in places)
    assert all(size > 0 for _, size in places)
    end = HEADER.size
    for at, size in sorted(places):
        assert end <= at < end + 8
        end = at + size
    assert end <= len(data) < end + 8
    at, size = places[0]
    assert data[at + size - 1] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: b"", "not a policy image"),
        (lambda data: b"ELF" + data[3:], "not a policy image"),
        (lambda data: data[:-8], "damaged"),
        (lambda data: data + b"\0" * 8, "damaged"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: data[:8] + b"\2" + data[9:], "version 2"),
    ],
)
def test_what_is_no_image_is_refused(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(PolicyError, match=message):
        read_image(change(compiled(Policy())))
