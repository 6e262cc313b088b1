"""Records for tests of the commands that read them: lines as a run writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PID = 100


class Written:
    """A record being made. Methods give it lines; `save` writes it."""

    def __init__(self, *argv: str) -> None:
        jail = {"landlock": {"abi": 7, "coarse": None}, "seccomp": True, "no_new_privs": True}
        self.argv = list(argv or ("make",))
        head: dict[str, Any] = {
            "policy": "sha256:" + "0" * 64,
            "method": "ptrace",
            "kernel": "6.18",
            "capwrap": "0.1.0",
            "jail": jail,
        }
        self.lines: list[dict[str, Any]] = [{"type": "run", "v": 1, "argv": self.argv, **head}]
        self._id = 0
        self.counts = {"refusals": 0, "absent": 0, "accesses": 0}
        self.start(PID, 1)
        self.exec(PID, *self.argv)

    def add(self, kind_of: str, /, **fields: Any) -> dict[str, Any]:
        self._id += 1
        self.lines.append({"type": kind_of, "id": self._id, "t": self._id / 1000, **fields})
        return self.lines[-1]

    def start(self, pid: int, parent: int) -> None:
        self.add("process", event="start", pid=pid, parent=parent)

    def exec(self, pid: int, *argv: str) -> None:
        self.add("process", event="exec", pid=pid, argv=list(argv))

    def exit(self, pid: int, status: int = 0) -> None:
        self.add("process", event="exit", pid=pid, status=status, signal=None)

    def access(self, path: str, *rights: str, pid: int = PID, result: int = 3, **more: Any) -> dict[str, Any]:
        self.counts["accesses"] += 1
        fields = {"syscall": "openat", "path": path, "grant": "/", "rights": list(rights), "result": result}
        return self.add("access", pid=pid, tid=pid, **(fields | more))

    def refusal(self, path: str, *needs: str, pid: int = PID, kind: str = "refusal", **more: Any) -> dict[str, Any]:
        self.counts["absent" if kind == "absent" else "refusals"] += 1
        fields: dict[str, Any] = {
            "syscall": "openat",
            "path": path,
            "host": path,
            "kind": "not-granted",
            "needs": list(needs),
        }
        fields |= {"nearest": None, "errno": "ENOENT", "allow": f"--ro {path}", "argv": self.argv}
        record = self.add(kind, pid=pid, tid=pid, **fields)
        for name, value in more.items():
            record["kind" if name == "why" else name] = value
        return record

    def end(self) -> None:
        counts = {"status": 0, "signal": None, **self.counts, "lost": 0, "complete": True}
        self.lines.append({"type": "end", **counts})

    def save(self, path: Path, *, end: bool = True) -> Path:
        if end and self.lines[-1]["type"] != "end":
            self.end()
        path.write_text("".join(json.dumps(line) + "\n" for line in self.lines))
        return path
