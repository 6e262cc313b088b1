"""A long record, as a build leaves one: up to 100,000 names are read, some written, some refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

LINES = 1_000_000 if os.environ.get("CAPWRAP_SOAK_SECONDS") else 20_000
_CALL = '"syscall":"openat","path":"%s"'
_DENIED = '"host":null,"kind":"not-granted","needs":["read"],"errno":"ENOENT","allow":"--ro /srv/x","argv":["cc"]'


def write_large(path: Path) -> Path:
    """Write a record of LINES lines; `make test-long` takes a million."""
    jail = {"landlock": {"abi": 7, "coarse": None}, "seccomp": True, "no_new_privs": True}
    head = {"type": "run", "v": 1, "argv": ["make"], "policy": "sha256:" + "0" * 64, "method": "ptrace", "jail": jail}
    with open(path, "w") as file:
        file.write(json.dumps(head | {"kernel": "6", "capwrap": "0.1.0"}) + "\n")
        for number in range(1, LINES + 1):
            call = f'"id":{number},"t":{number / 1e5},"pid":{number // 50},"tid":1'
            if number % 50 == 0:
                rest = f'"type":"process","id":{number},"t":1,"event":"start","pid":{number // 50},"parent":1'
            elif number % 50 == 1:
                name = _CALL % f"/srv/secret/{number % 20000}"
                rest = f'"type":"refusal",{call},{name},{_DENIED}'
            elif number % 50 == 2:
                name = _CALL % f"/srv/w/{number % 20000}.o"
                rest = f'"type":"access",{call},{name},"grant":"/srv","rights":["write","create"],"result":3'
            else:
                name = _CALL % f"/srv/include/{number % 100}/{number * 7919 % 100_000}.h"
                rest = f'"type":"access",{call},{name},"grant":"/srv","rights":["read"],"result":3'
            file.write("{" + rest + "}\n")
        file.write('{"type":"end","status":0,"signal":null,"complete":true}\n')
    return path
