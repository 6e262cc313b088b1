"""How often the engine stops a command: `python -m bench.stops IMAGE COMMAND [ARG]...` prints a JSON object.

A process of its own, because the engine waits for every child of the process that it runs in.
"""

from __future__ import annotations

import json
import os
import sys

from capwrap import engine


def main(arguments: list[str]) -> int:
    image, *command = arguments
    with open(image, "rb") as file:
        data = file.read()
    null = os.open(os.devnull, os.O_RDWR)
    launch = engine.Launch(
        image=data,
        argv=[os.fsencode(argument) for argument in command],
        environ=engine.environ_bytes(),
        stdio=(null, null, 2),
    )
    outcome = engine.load().run(launch)
    if outcome.failed or outcome.exec_errno or outcome.status:
        reason = os.strerror(outcome.exec_errno) if outcome.exec_errno else f"wait status {outcome.status:#x}"
        print(f"{command[0]}: {outcome.message or reason}", file=sys.stderr)
        return 1
    print(
        json.dumps(
            {
                "stops": outcome.stops,
                "deliveries": outcome.deliveries,
                "processes": outcome.processes,
                "refusals": outcome.refusals,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
