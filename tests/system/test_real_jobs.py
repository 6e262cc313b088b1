"""Job control and the terminal: a confined interactive shell, and capwrap as a job of an outer shell."""

from __future__ import annotations

import os

import pytest
from support.compare import Bench
from support.terminal import Terminal

PROMPT = "PROMPT> "
# No line editing, which would paint; no history, which would want $HOME.
BASH = ["bash", "--norc", "--noprofile", "--noediting", "-i"]


def start(bench: Bench, confined: bool) -> Terminal:
    prefix = [*bench.runner.prefix, *bench.runner.capwrap, "run", "-q", "--env", "PS1", "--"] if confined else []
    return Terminal(
        [*prefix, *BASH], cwd=bench.fresh(), env=bench.env | {"PS1": PROMPT, "TERM": "dumb", "HISTFILE": ""}
    )


@pytest.mark.parametrize("confined", [False, True], ids=["natively", "confined"])
def test_a_shell_stops_resumes_and_interrupts_jobs(bench: Bench, confined: bool) -> None:
    with start(bench, confined) as terminal:
        terminal.expect(PROMPT)
        terminal.type("tty >/dev/null && echo on a $(echo terminal)\n")
        terminal.expect("on a terminal\r\n.*" + PROMPT)
        terminal.type("sh -c 'echo began $$; exec sleep 1000'\n")
        terminal.expect(r"began \d+\r\n")
        terminal.type("\x1a")
        terminal.expect(r"\[1\]\+\s+Stopped.*" + PROMPT)
        terminal.type("jobs -s | wc -l | tr '\\n' '!'\n")
        terminal.expect(r"1!.*" + PROMPT)
        terminal.type("bg %1\n")
        terminal.expect(r"\[1\]\+ sh -c.*" + PROMPT)
        terminal.type("jobs -r | wc -l | tr '\\n' '!'\n")
        terminal.expect(r"1!.*" + PROMPT)
        terminal.type("kill %1; wait %1; echo status $?\n")
        terminal.expect("status 143\r\n.*" + PROMPT)
        # That it answers proves that it has the terminal, which no message of the shell does.
        terminal.type("sh -c 'echo began $$; while read -r line; do echo got $line; done'\n")
        terminal.expect(r"began \d+\r\n")
        terminal.type("\x1a")
        terminal.expect(r"Stopped.*" + PROMPT)
        terminal.type("fg\n")
        terminal.type("a line\n")
        terminal.expect("got a line\r\n")
        terminal.type("\x03")
        terminal.expect(PROMPT)
        terminal.type("echo status $?\n")
        terminal.expect("status 130\r\n.*" + PROMPT)
        terminal.type("set +m; (sleep 1000) & kill $!; wait $!; echo status $?; set -m\n")
        terminal.expect("status 143\r\n.*" + PROMPT)
        terminal.type("cat | tr a-z A-Z\n")
        terminal.type("through a pipeline\n\x04")
        terminal.expect("THROUGH A PIPELINE\r\n.*" + PROMPT)
        terminal.type("stty -echo; stty size; stty echo\n")
        terminal.expect("24 80\r\n.*" + PROMPT)
        terminal.type("exit 7\n")
        assert os.waitstatus_to_exitcode(terminal.close()) == 7


@pytest.mark.parametrize("confined", [False, True], ids=["natively", "confined"])
def test_an_outer_shell_stops_and_resumes_the_whole_target(bench: Bench, confined: bool) -> None:
    command = "sh -c 'echo began $$; read -r line; echo got $line; exit 5'"
    wrapped = f"{' '.join(bench.runner.capwrap)} run -q -- {command}" if confined else command
    with start(bench, confined=False) as terminal:
        terminal.expect(PROMPT)
        terminal.type(wrapped + "\n")
        terminal.expect(r"began \d+\r\n")
        terminal.type("\x1a")
        terminal.expect(r"\[1\]\+\s+Stopped.*" + PROMPT)
        terminal.type("fg\n")
        terminal.expect("exit 5'\r\n")
        terminal.type("a line\n")
        terminal.expect("got a line\r\n.*" + PROMPT)
        terminal.type("echo status $?\n")
        terminal.expect("status 5\r\n.*" + PROMPT)
        terminal.type(wrapped + "\n")
        terminal.expect(r"began \d+\r\n")
        terminal.type("\x03")
        terminal.expect(PROMPT)
        terminal.type("echo status $?\n")
        terminal.expect("status 130\r\n")
        terminal.type("exit\n")
        terminal.close()


@pytest.mark.parametrize("confined", [False, True], ids=["natively", "confined"])
def test_a_program_that_opens_its_own_terminal_works(bench: Bench, confined: bool) -> None:
    script = (
        "import os, pty, sys\n"
        "pid, fd = pty.fork()\n"
        "if pid == 0: os.execvp('sh', ['sh', '-c', 'test -t 0 && tty | cut -c1-8 && echo inside >/dev/tty; exit 3'])\n"
        "got = b''\n"
        "while True:\n"
        "    try: data = os.read(fd, 1000)\n"
        "    except OSError: break\n"
        "    if not data: break\n"
        "    got += data\n"
        "print(got, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    bench.fresh({"own.py": script})
    run = bench.confined if confined else lambda argv: bench.runner.native(argv, cwd=bench.work, env=bench.env)
    done = run(["/usr/bin/python3", "own.py"])
    assert (done.status, done.text) == (0, "b'/dev/pts\\r\\ninside\\r\\n' 3\n"), done.describe()
