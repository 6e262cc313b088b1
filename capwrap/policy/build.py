"""From a policy to its namespace: paths made canonical on this host, rules that add up, denies carved, flags decided.

The order of the phases matters. Identity grants first, because the symlinks that they meet say where mapped paths and
private directories lie; private directories behind grants, because an explicit grant of /tmp means the real one;
denies behind all that a policy names; COMMAND's closure last, because it only fills what nothing else decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from capwrap.policy import rights as r
from capwrap.policy.denies import carve
from capwrap.policy.errors import PolicyError, Where
from capwrap.policy.flags import prune, settle_flags
from capwrap.policy.host import MAX_LINKS, Host, Walk
from capwrap.policy.items import Empty, Grant, Private, UnixAddress, WorkDir, origin
from capwrap.policy.model import Policy
from capwrap.policy.namespace import Namespace, Node, NodeFlag, NodeKind, is_beneath, join, relative
from capwrap.policy.observations import Kind
from capwrap.policy.spellings import check_spellings

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx")
STD_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}


def build_namespace(
    policy: Policy, *, command: Sequence[str] | None, cwd: str, environ: Mapping[str, str]
) -> Namespace:
    """The namespace of a policy on this host.

    ``command`` is COMMAND with its arguments (None: no closure), ``cwd`` the caller's absolute current directory,
    ``environ`` its environment. Raises PolicyError where the policy does not fit the host.
    """
    host = Host(cwd=cwd, environ=environ)
    builder = _Builder(policy, host)
    builder.run(command, environ)
    return builder.space


class _Builder:
    def __init__(self, policy: Policy, host: Host) -> None:
        self.settings = policy.settings()
        self.host = host
        root = Node("/", None)
        self.space = Namespace(root, {"/": root}, host, self.settings)
        self.index = self.space.index

    def run(self, command: Sequence[str] | None, environ: Mapping[str, str]) -> None:
        for path in self.settings.files:
            self.host.content(path)
        self._devices()
        mapped: list[tuple[Grant, str, str]] = []
        for grant in self.settings.grants:
            places = self._expanded(grant)
            if places is None:
                continue
            path, virtual = places
            if virtual is None:
                self._identity(path, int(grant.rights), grant.optional, grant.where, grant.additive)
            else:
                mapped.append((grant, path, virtual))
        for workdir in self.settings.workdirs:
            self._workdir(workdir)
        for grant, path, virtual in mapped:
            self._mapped(path, virtual, grant)
        self._add_up()
        self._cover_special()
        for private in self.settings.privates:
            self._private(private)
        for unix in self.settings.unix:
            self._unix(unix)
        for empty in self.settings.empties:
            self._empty(empty)
        carve(self.space)
        self.space.env = self._environment()
        if self.settings.closure and command:
            self._closure(command, environ)
        prune(self.space)
        settle_flags(self.space)
        check_spellings(self.space)

    # Nodes.

    def _link(self, place: str, text: str, *, implied: bool = False) -> None:
        node = self.space.make(place)
        if node.kind is NodeKind.ANCESTOR and node.children:
            self.space.notes.append(
                f"{place} is a symbolic link on the host; a mapped grant beneath {place} makes it a directory instead"
            )
        elif node.kind is NodeKind.ANCESTOR:
            node.kind, node.link, node.host, node.implied = NodeKind.LINK, text, place, implied

    def _links(self, walk: Walk) -> None:
        for place, text in walk.links:
            self._link(place, text)

    def _set(
        self,
        node: Node,
        kind: NodeKind,
        host: str,
        rights: int,
        where: Where | None,
        flags: int = 0,
        additive: bool = False,
    ) -> None:
        """A grant at a node: adds up with the same grant, takes the place of what is no grant of the host."""
        if node.kind is kind and node.host == host:
            node.rights |= rights
            # Said once without `optional`, the path has to be there.
            node.flags = (node.flags | flags) & ~(NodeFlag.OPTIONAL & ~flags)
            node.additive = node.additive and additive
        else:
            node.kind, node.host, node.link, node.rights, node.flags = kind, host, "", rights, int(flags)
            node.additive = additive
        node.origin = node.origin or origin(where)

    # Grants.

    def _expanded(self, grant: Grant) -> tuple[str, str | None] | None:
        if not grant.expand:
            return grant.path, grant.virtual
        path = self._expand(grant.path, grant.optional, grant.where)
        if path is None or grant.virtual is None:
            return None if path is None else (path, None)
        virtual = self._expand(grant.virtual, grant.optional, grant.where)
        return None if virtual is None else (path, virtual)

    def _expand(self, text: str, optional: bool, where: Where | None) -> str | None:
        expanded = self.host.expand(text)
        if expanded is None and not optional:
            raise PolicyError(
                f"a variable in `{text}` has no value", where=where, remedy="set it, or mark the entry optional"
            )
        return expanded

    def _walk(self, path: str, optional: bool, where: Where | None) -> Walk | None:
        """The walk of a path that is to be granted; None if it is optional and not there."""
        try:
            walk = self.host.walk(path)
        except PolicyError as error:
            if optional:
                return None
            raise error.at(where) from None
        absent = walk.missing is not None or walk.kind in (Kind.ABSENT, Kind.UNREADABLE)
        if absent and optional:
            return None
        if walk.missing is not None or walk.kind is Kind.UNREADABLE:
            raise _cannot_reach(path, walk, where)
        return walk

    def _identity(self, path: str, rights: int, optional: bool, where: Where | None, additive: bool = False) -> None:
        walk = self._walk(path, optional, where)
        if walk is None:
            return
        self._links(walk)
        if walk.process:
            if not walk.links:
                raise PolicyError(
                    f"`{path}` differs from process to process and cannot be granted",
                    where=where,
                    remedy="the profile `runtime` (or `proc = true`) gives the target its own processes under /proc",
                )
            return
        if walk.path == "/proc":
            self._proc()
        elif walk.path == "/dev/pts":
            self._set(self.space.make("/dev/pts"), NodeKind.PTS, "", rights, where)
        else:
            kind = NodeKind.DIR if walk.kind is Kind.DIR else NodeKind.NAME
            flags = NodeFlag.OPTIONAL if optional else 0
            self._set(self.space.make(walk.path), kind, walk.path, rights, where, flags, additive)

    def _workdir(self, workdir: WorkDir) -> None:
        cwd = self.host.walk(self.host.cwd)
        if cwd.path == "/":
            raise PolicyError(
                "the current directory is /, and the policy grants the current directory",
                remedy="change to the directory to work in, or choose what to grant: --profile base --rw DIR",
            )
        home = self.host.expand("${HOME}")
        if home is not None and is_beneath(self.host.walk(home).path, cwd.path):
            what = "is" if self.host.walk(home).path == cwd.path else "holds"
            raise PolicyError(
                f"the current directory {cwd.path} {what} $HOME, and the policy grants the current directory",
                remedy="change to a directory beneath it, or choose what to grant: --profile base --rw DIR",
            )
        self._identity(self.host.cwd, int(workdir.rights), False, workdir.where)
        # A shell's cwd may have symlinks in it that getcwd(3) does not show; names made from $PWD go through them.
        named = self.host.variable("PWD")
        if named and named.startswith("/") and named != self.host.cwd:
            walk = self.host.walk(named)
            if walk.path == cwd.path:
                self._links(walk)

    def _empty(self, empty: Empty) -> None:
        walk = self.host.walk(empty.path)
        if walk.missing is None and walk.kind is Kind.DIR:
            self._links(walk)
            self.space.make(walk.path).flags |= NodeFlag.SHOWN

    def _mapped(self, path: str, virtual: str, grant: Grant) -> None:
        where = grant.where
        walk = self._walk(path, grant.optional, where)
        if walk is None:
            return
        if walk.process or is_beneath(walk.path, "/proc") or is_beneath(virtual, "/proc"):
            raise PolicyError(
                f"`{path}={virtual}`: /proc cannot be mapped",
                where=where,
                remedy="the profile `runtime` (or `proc = true`) gives the target its own processes under /proc",
            )
        place = self._place(virtual)
        node = self.space.make(place)
        kind = NodeKind.DIR if walk.kind is Kind.DIR else NodeKind.NAME
        if node.parent is None and kind is NodeKind.NAME:
            raise PolicyError(f"{path} is no directory and cannot be /", where=where, remedy="map a directory there")
        granted = node.kind in (NodeKind.DIR, NodeKind.NAME)
        if granted and node.host not in (walk.path, place):
            raise PolicyError(
                f"two host paths at {place}: {node.host} and {walk.path}", where=where, remedy="give each its own place"
            )
        if granted and node.host != walk.path:
            self.space.notes.append(f"{place} is {walk.path}; the grant of the host's own {place} has no effect")
        flags = NodeFlag.OPTIONAL if grant.optional else 0
        self._set(node, kind, walk.path, int(grant.rights), where, flags, grant.additive)

    def _place(self, virtual: str) -> str:
        """A virtual path with the symlinks before its last component followed in the namespace."""
        cwd = ""
        hops = 0
        rest = [part for part in reversed(virtual.split("/")) if part not in ("", ".")]
        while rest:
            name = rest.pop()
            if name == "..":
                cwd = cwd.rpartition("/")[0]
                continue
            node = self.index.get(f"{cwd}/{name}")
            if not rest or node is None or node.kind is not NodeKind.LINK:
                cwd = f"{cwd}/{name}"
                continue
            hops += 1
            if hops > MAX_LINKS:
                raise PolicyError(f"too many symbolic links in `{virtual}`")
            if node.link.startswith("/"):
                cwd = ""
            rest += [part for part in reversed(node.link.split("/")) if part not in ("", ".")]
        return cwd or "/"

    def _add_up(self) -> None:
        """An additive grant has at least the rights of the grant that it lies in, if it is the same file there."""
        additive = [node for node in self.index.values() if node.additive and node.parent is not None]
        for node in sorted(additive, key=lambda node: node.path.count("/")):
            above = self.space.rule(node.path.rpartition("/")[0] or "/")
            if above is None or above.kind is not NodeKind.DIR:
                continue
            if node.host == join(above.host, relative(node.path, above.path)):
                node.rights |= above.rights

    # What is not the host's.

    def _proc(self) -> None:
        self._set(self.space.make("/proc"), NodeKind.PROC, "", int(r.RO), None)

    def _devices(self) -> None:
        if self.settings.proc:
            self._proc()
        if not self.settings.devices:
            return
        for name in DEVICES:
            path = f"/dev/{name}"
            if self.host.look(path)[0] is Kind.FILE:
                self._set(self.space.make(path), NodeKind.NAME, path, int(r.DEVICE), None, NodeFlag.DEVICE)
        for name, text in STD_LINKS.items():
            self._link(f"/dev/{name}", text, implied=True)
        self._set(self.space.make("/dev/pts"), NodeKind.PTS, "", int(r.RW), None)
        self._set(self.space.make("/dev/shm"), NodeKind.PRIVATE, "", int(r.RW), None, NodeFlag.SHM | NodeFlag.STICKY)

    def _cover_special(self) -> None:
        """Nothing gives the target the host's own /proc or the ptys of others, also not a grant of / or /dev."""
        for node in [node for node in self.index.values() if node.kind is NodeKind.DIR]:
            for special, kind, rights in (("/proc", NodeKind.PROC, int(r.RO)), ("/dev/pts", NodeKind.PTS, node.rights)):
                if special == node.host or not is_beneath(special, node.host):
                    continue
                place = join(node.path, relative(special, node.host))
                if self.space.make(place).kind is not NodeKind.ANCESTOR:
                    continue  # said otherwise already
                if place == special:
                    self._set(self.space.make(place), kind, "", rights, None)
                else:
                    self._set(self.space.make(place), NodeKind.DENY, "", 0, None)

    def _private(self, private: Private) -> None:
        text = self._expand(private.path, private.optional, private.where) if private.expand else private.path
        if text is None:
            return
        walk = self.host.walk(text)
        if walk.path == "/" or walk.process or is_beneath(walk.path, "/proc"):
            if private.optional:
                return
            raise PolicyError(f"`{text}` cannot be a private directory", where=private.where)
        self._links(walk)
        place = self._place(walk.path)
        rule = self.space.rule(place)
        covered = rule is not None and rule.kind is NodeKind.DIR and rule.rights & private.rights == private.rights
        if private.optional and covered:
            return
        node = self.space.make(place)
        if node.kind in (NodeKind.ANCESTOR, NodeKind.LINK, NodeKind.PRIVATE):
            sticky = NodeFlag.STICKY if private.sticky else 0
            self._set(node, NodeKind.PRIVATE, "", int(private.rights), private.where, sticky)

    def _unix(self, unix: UnixAddress) -> None:
        """--connect and --bind add to what the name has already: else --bind would take away its unlink."""
        text = self._expand(unix.path, False, unix.where) if unix.expand else unix.path
        walk = self._walk(text or "", False, unix.where)
        if walk is None or walk.process:
            return
        self._links(walk)
        rule = self.space.rule(walk.path)
        already = rule.rights if rule is not None and rule.kind in (NodeKind.DIR, NodeKind.NAME) else 0
        rights = already | int(r.CONNECT if unix.op == "connect" else r.BIND)
        if already | rights == already:
            return
        kind = NodeKind.DIR if walk.kind is Kind.DIR else NodeKind.NAME
        self._set(self.space.make(walk.path), kind, self.space.host_path(walk.path) or walk.path, rights, unix.where)

    # COMMAND's own files, and its environment.

    def _environment(self) -> tuple[tuple[str, str | None], ...]:
        rules: list[tuple[str, str | None]] = []
        for rule in self.settings.env:
            value = rule.value
            if value is not None and rule.expand:
                value = self._expand(value, False, rule.where)
            rules.append((rule.name, value))
        return tuple(rules)

    def _closure(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        from capwrap.policy.command import command_files

        for path in command_files(command, rules=self.space.env, environ=environ, host=self.host):
            walk = self.host.walk(path)
            if walk.kind is not Kind.FILE or walk.missing is not None or walk.process:
                continue
            rule = self.space.rule(walk.path)
            if self.space.denied_by_glob(walk.path) or (rule is not None and rule.kind is NodeKind.DENY):
                self.space.notes.append(f"{walk.path}, which COMMAND needs, is denied")
                continue
            self._links(walk)
            already = rule.rights if rule is not None and self.space.host_path(walk.path) == walk.path else 0
            if already & r.ROX != r.ROX:
                self._set(self.space.make(walk.path), NodeKind.NAME, walk.path, already | int(r.ROX), None)


def _cannot_reach(path: str, walk: Walk, where: Where | None) -> PolicyError:
    missing = walk.missing or walk.path
    if walk.kind is Kind.FILE:
        return PolicyError(f"cannot grant {path}: {missing} is not a directory", where=where)
    if walk.kind is Kind.UNREADABLE:
        return PolicyError(f"cannot grant {path}: {missing} cannot be searched (permission denied)", where=where)
    if path.startswith("~"):
        remedy = "`~` is expanded by the shell only: write ${HOME} in a policy file, ~ without quotes in a shell"
        return PolicyError(f"cannot grant {path}: {missing} does not exist", where=where, remedy=remedy)
    return PolicyError(
        f"cannot grant {path}: {missing} does not exist",
        where=where,
        remedy=f"create it first (mkdir -p), or grant {missing} by name; only a last component may be absent",
    )
