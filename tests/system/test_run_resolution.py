"""Paths looked up in random trees under random policies, against a model of the namespace that is all of one page."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from support.programs import Programs
from support.run import base_env, caller, run

from capwrap.policy import Policy
from capwrap.policy.image import compile_image

EXAMPLES = int(os.environ.get("CAPWRAP_RESOLUTIONS", "40"))
MAPPED = "/m"
"""Beneath this lie the virtual paths that are not host paths."""

LINKS = 40

Place = tuple[str, ...]
"""A canonical path by its components."""


def parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


@dataclass
class World:
    """A host tree, and rules on it. Host paths are those of `files`; `top` is where it lies on the host."""

    top: str
    files: dict[Place, str | None]
    """Everything beneath `top`: "" is a file, a text that of a link, None a directory."""
    grants: list[tuple[Place, Place]] = field(default_factory=list)
    """Virtual place, and the place beneath `top` that stands there."""
    denied: list[Place] = field(default_factory=list)
    globs: list[str] = field(default_factory=list)

    def rule(self, at: Place) -> tuple[Place, Place] | None:
        """The grant that decides at a place: the deepest rule above it, and none where that is a deny.

        A pattern carves out all beneath what it matches, whatever is granted there.
        """
        above = [at[:depth] for depth in range(len(at), -1, -1)]
        if any(matches(glob, "/" + "/".join(name)) for glob in self.globs for name in above):
            return None
        for name in above:
            if name in self.denied:
                return None
            if grant := next((grant for grant in self.grants if grant[0] == name), None):
                return grant
        return None

    def look(self, at: Place) -> tuple[str, Place | str]:
        """What stands at a canonical place: `d`, `f` and where it lies on the host, `l` and its text, `v`, or `-`."""
        grant = self.rule(at)
        host = grant[1] + at[len(grant[0]) :] if grant else None
        if host is not None and self.files.get(host, "-") is None:
            return "d", host
        # an ancestor of a grant is a directory, unless the host has one there
        if any(each[0][: len(at)] == at != each[0] and self.rule(each[0]) == each for each in self.grants):
            return "v", ()
        text = "-" if host is None else self.files.get(host, "-")
        if text == "-" or host is None or text is None:
            return "-", ()
        return ("f", host) if text == "" else ("l", text)

    def resolve(self, path: str, follow: bool = True) -> tuple[str, Place, Place | str]:
        """Where a path leads, as path_resolution(7) has it: what is there, its canonical place, and as `look` says."""
        at: Place = ()
        rest = parts(path)
        directory = path.endswith(("/", "/.", "/.."))
        links = 0
        kind, where = self.look(at)
        while rest:
            if kind == "-":
                raise OSError(errno.ENOENT, path)
            if kind == "f":
                raise OSError(errno.ENOTDIR, path)
            name = rest.pop(0)
            up = at
            at = at if name == "." else at[:-1] if name == ".." else (*at, name)
            kind, where = self.look(at)
            if kind == "l" and (rest or directory or follow):
                links += 1
                if links > LINKS:
                    raise OSError(errno.ELOOP, path)
                assert isinstance(where, str)
                directory = directory or (not rest and where.endswith("/"))
                rest = parts(where) + rest
                at = () if where.startswith("/") else up
                kind, where = self.look(at)
        if kind == "-":
            raise OSError(errno.ENOENT, path)
        if kind in "fl" and directory:
            raise OSError(errno.ENOTDIR, path)
        return kind, at, where

    def said(self, path: str) -> str:
        """The line that the program should print."""

        def found(follow: bool) -> str:
            try:
                kind, at, _ = self.resolve(path, follow)
            except OSError as error:
                return errno.errorcode[error.errno or 0]
            grant = self.rule(at)
            if kind in "dv" or grant is None:
                return "d"
            return f"{kind}{os.lstat(self.host(grant[1] + at[len(grant[0]) :])).st_ino}"

        try:
            opened = "/" + "/".join(self.resolve(path)[1])
        except OSError as error:
            opened = errno.errorcode[error.errno or 0]
        return f"{found(True)}\t{found(False)}\t{opened}"

    def host(self, place: Place) -> str:
        return "/".join([self.top, *place])

    def shown(self) -> list[str]:
        """The names of the tree where grants show them."""
        granted = [(virtual + place[len(host) :], host, place) for virtual, host in self.grants for place in self.files]
        return ["/" + "/".join(name) for name, host, place in granted if place[: len(host)] == host]

    def make(self) -> None:
        """The tree on the host."""
        for place, text in sorted(self.files.items(), key=lambda item: len(item[0])):
            path = self.host(place)
            if text is None:
                os.makedirs(path, exist_ok=True)
            elif text == "":
                Path(path).touch()
            else:
                os.symlink(text, path)

    def policy(self) -> Policy:
        policy = Policy()
        for virtual, host in self.grants:
            policy = policy.ro(self.host(host), "/" + "/".join(virtual))
        for place in self.denied:
            policy = policy.deny("/" + "/".join(place))
        for glob in self.globs:
            policy = policy.deny(glob)
        return policy


def matches(glob: str, path: str) -> bool:
    """`*` within a component, `**` across them, and between slashes any number of whole ones."""
    pattern = re.escape(glob).replace(r"/\*\*/", "/(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return re.fullmatch(pattern, path, re.DOTALL) is not None


NAMES = st.sampled_from(["a", "b", "c"])
PLACES = st.lists(NAMES, min_size=1, max_size=3).map(tuple)
STEPS = st.sampled_from(["a", "b", "c", "a", "b", "..", "."])
PROBES = st.tuples(st.lists(STEPS, max_size=5).map("/".join), st.sampled_from(["", "", "", "/"])).map("".join)
STARTS = st.sampled_from(["", "/top/", "/top/", MAPPED + "/", "/", "../"])
"""Where a link's text or a path begins; `/top` is the tree's place on the host."""


def separate(one: Place, other: Place) -> bool:
    """Neither lies in the other."""
    return one[: len(other)] != other and other[: len(one)] != one


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A tree of three levels with links in it, and up to four grants of directories or names, denies and globs."""
    files: dict[Place, str | None] = {(): None}
    for place in sorted(draw(st.lists(PLACES, min_size=4, max_size=14, unique=True)), key=len):
        if files.get(place[:-1], "-") is None:
            kind = draw(st.sampled_from("dddfll"))
            files[place] = None if kind == "d" else "" if kind == "f" else draw(STARTS) + draw(PROBES) or "."
    world = World("", files)
    directories = sorted(place for place, text in files.items() if text is None)
    for _ in range(draw(st.integers(1, 4))):
        host = draw(st.sampled_from(directories))
        virtual = ("top", *host) if draw(st.booleans()) else (MAPPED[1:], *draw(PLACES))
        # what stands at two places has two canonical paths
        apart = all(virtual[0] == where[0] == "top" or separate(host, other) for where, other in world.grants)
        if apart and virtual not in [grant[0] for grant in world.grants]:
            world.grants.append((virtual, host))
    # a deny of what stands at another place, or of a link, holds there as well
    mapped = any(virtual[0] != "top" for virtual, _ in world.grants)
    top: Place = (MAPPED[1:],) if mapped else ("top",)
    denied = [top + draw(PLACES) for _ in range(draw(st.integers(0, 2)))]
    links = [place for place, text in files.items() if text]
    linked = {virtual + place[len(host) :] for virtual, host in [*world.grants, (("top",), ())] for place in links}
    plain = [name for name in denied if not any(name[:n] in linked for n in range(len(name) + 1))]
    shapes = st.sampled_from(["/{}/**/{}", "/{}/*/{}", "/{}/{}*"])
    world.globs = [draw(shapes).format(top[0], draw(NAMES)) for _ in range(draw(st.integers(0, 1)))]
    world.denied = plain
    return world


def settled(world: World, top: str) -> World:
    """The same with `top` where it lies on the host."""

    def there(place: Place) -> Place:
        return (*parts(top), *place[1:]) if place[:1] == ("top",) else place

    def text(words: str | None) -> str | None:
        return top + words[4:] if words and words.startswith("/top/") else words

    return World(
        top,
        {place: text(words) for place, words in world.files.items()},
        [(there(virtual), host) for virtual, host in world.grants],
        [there(place) for place in world.denied],
        [glob.replace("/top/", top + "/") for glob in world.globs],
    )


@pytest.fixture(scope="module")
def prober(session_root: Path, programs: Programs) -> Iterator[tuple[Path, Path]]:
    """The static program, and a place for trees."""
    place = session_root / "resolution"
    place.mkdir()
    yield programs("system/resolve", flags=("-static",)), place
    shutil.rmtree(place)


CARVED_TWICE = World(
    "", {(): None, ("a",): None, ("a", "a"): None}, [(("top",), ())], [("top", "a"), ("top", "a", "a")]
)


@settings(
    deadline=None,
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # each example is a run, and shrinking takes hundreds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example(world=CARVED_TWICE, probes=["a", "a/a", "a/..", "."])
@given(world=worlds(), probes=st.lists(PROBES, max_size=10))
def test_a_path_leads_where_the_model_says(prober: tuple[Path, Path], world: World, probes: list[str]) -> None:
    program, place = prober
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        top = f"{scratch}/top"
        here = settled(world, top)
        here.make()
        paths = [f"{start}/{probe}" for probe in probes for start in (top, MAPPED)]
        paths += [path + more for path in here.shown() for more in ("", "/", "/..", "/a", "/../b", "/b/../a/c")]
        image = Path(scratch, "policy.cap")
        policy = here.policy().rox(program).ro("/proc")
        image.write_bytes(compile_image(policy, command=[str(program)], cwd="/", environ={}))
        argv: list[str | Path] = [*caller().capwrap_exec, image, "--", program]
        done = run(argv, cwd=scratch, env=base_env(place), stdin="".join(f"{path}\0" for path in paths).encode())
        lines = done.text.splitlines()
        assert (done.status, len(lines)) == (0, len(paths)), done.describe()
        here.grants += [(tuple(parts(each)), ()) for each in ("/proc/self", str(program))]
        for path, line in zip(paths, lines, strict=True):
            assert line == here.said(path), path
