"""What the record of a run says of a call: how it was asked, where that led, and what stood in the way."""

from __future__ import annotations

import os

import pytest
from support.compare import Bench


def _one(bench: Bench, kind: str, **fields: object) -> dict[str, object]:
    found = [record for record in bench.records(kind) if all(record.get(key) == fields[key] for key in fields)]
    assert found, (fields, bench.records(kind))
    return found[0]


@pytest.fixture
def recorded(bench: Bench) -> Bench:
    bench.fresh({"dir/file": "x", "key.pem": "k", "kept/inner": "i"})
    os.symlink("/etc/shadow", bench.work / "dir/link")
    script = """
        cat dir/../dir/link; cat ./dir/absent; cat key.pem; cat kept/inner; echo x >/usr/capwrap-test; ls dir >/dev/null
        cat dir//file; exit 0
    """
    options = ("-q", "--events", bench.events, "--deny", "**/*.pem", "--deny", bench.work / "kept")
    done = bench.confined(["/bin/sh", "-c", script], options=options)
    assert done.status == 0, done.describe()
    return bench


def test_the_record_has_the_path_as_it_was_asked_and_the_link_on_the_way(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/etc/shadow")
    assert record["asked"] == f"{recorded.work}/dir/../dir/link"
    assert record["via"] == f"{recorded.work}/dir/link"
    assert "has" not in record


def test_the_record_has_the_arguments_of_a_refused_call(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/etc/shadow", syscall="openat")
    args = record["args"]
    assert isinstance(args, list)
    assert args[0] == "0xffffff9c"  # AT_FDCWD
    assert int(args[2], 16) & os.O_ACCMODE == os.O_RDONLY


def test_the_record_names_the_pattern_or_path_that_carved_a_name_out(recorded: Bench) -> None:
    assert _one(recorded, "refusal", path=f"{recorded.work}/key.pem")["denied"] == "/**/*.pem"
    assert _one(recorded, "refusal", path=f"{recorded.work}/kept/inner")["denied"] == f"{recorded.work}/kept"


def test_the_record_has_the_rights_that_a_place_had_where_one_was_missing(recorded: Bench) -> None:
    record = _one(recorded, "refusal", path="/usr/capwrap-test")
    assert record["kind"] == "right-missing"
    has, needs = record["has"], record["needs"]
    assert isinstance(has, list)
    assert isinstance(needs, list)
    assert "read" in has
    assert "create" in set(needs) - set(has)


def test_the_record_has_every_successful_exec_with_its_interpreter(recorded: Bench) -> None:
    shell = os.path.realpath("/bin/sh")
    record = _one(recorded, "access", syscall="execve", path=shell, result=0)
    assert str(record["asked2"]).startswith("/lib64/ld-linux")
    assert _one(recorded, "access", syscall="execve", path=os.path.realpath("/bin/cat"), result=0)


def test_no_path_that_a_lookup_made_has_a_doubled_slash(recorded: Bench) -> None:
    for record in recorded.records("access"):
        for name in ("path", "path2"):
            if str(record.get(name, "")) != record.get("asked"):
                assert "//" not in str(record.get(name, "")).replace("dir//file", ""), record
