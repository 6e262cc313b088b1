"""Descriptors of a run: standard streams that are closed, full or pipes, passed descriptors, lingering processes."""

from __future__ import annotations

import json
import os
import socket
import threading

from support.compare import Bench


def test_input_and_output_are_commands_own(each_bench: Bench) -> None:
    data = os.urandom(300_000)
    done = each_bench.confined(["cat"], stdin=data)
    assert (done.status, done.stdout, done.stderr) == (0, data, b"")


def test_a_closed_standard_stream_stays_closed(bench: Bench) -> None:
    capwrap = " ".join([*bench.runner.capwrap, "run", "-q", "--"])
    script = "ls /proc/self/fd >&2; echo out; echo status $? >&2"
    for closing in (">&-", "<&-", "<&- >&-"):
        argv = ["sh", "-c", f"exec {{}} sh -c '{script}' {closing}"]
        native = bench.runner.native([*argv[:2], argv[2].format("")], cwd=bench.work, env=bench.env)
        confined = bench.runner.native([*argv[:2], argv[2].format(capwrap)], cwd=bench.work, env=bench.env)
        assert confined == native, f"{closing}: {native.describe()}\n{confined.describe()}"


def test_a_full_device_is_commands_own_trouble(bench: Bench) -> None:
    capwrap = " ".join([*bench.runner.capwrap, "run", "-q", "--"])
    argv = ["sh", "-c", "{} sh -c 'echo x; echo status $? >&2' >/dev/full"]
    native = bench.runner.native([*argv[:2], argv[2].format("")], cwd=bench.work, env=bench.env)
    confined = bench.runner.native([*argv[:2], argv[2].format(capwrap)], cwd=bench.work, env=bench.env)
    assert confined == native, f"{native.describe()}\n{confined.describe()}"


def test_a_record_that_cannot_be_kept_is_said_loudly_and_counted(bench: Bench) -> None:
    done = bench.confined("echo went on; exit 4", options=("--events", "/dev/full"))
    assert done.stdout == b"went on\n", done.describe()
    assert done.status == 4, done.describe()
    assert b"capwrap: " in done.stderr
    assert b"/dev/full" in done.stderr


def test_a_reader_of_the_record_that_goes_away_is_told_and_stops_nobody(each_bench: Bench) -> None:
    reader, writer = os.pipe()
    script = "while [ ! -e over ]; do cat /etc/passwd >/dev/null; done; echo went on; exit 4"
    over = each_bench.work / "over"

    def read_one_line() -> None:
        with open(reader, "rb", buffering=0) as source:
            source.read(1)
        over.touch()

    thread = threading.Thread(target=read_one_line)
    thread.start()
    done = each_bench.confined(script, options=("--events", f"fd:{writer}"), pass_fds=(writer,))
    os.close(writer)
    thread.join()
    assert (done.status, done.stdout) == (4, b"went on\n"), done.describe()
    assert b"the record could not be written" in done.stderr, done.describe()
    assert b"not complete" in done.stderr


def test_the_record_goes_to_a_descriptor_and_ends_complete(each_bench: Bench) -> None:
    reader, writer = os.pipe()
    with open(reader, "rb") as source:
        done = each_bench.confined(
            "cat /etc/passwd >/dev/null; exit 3", options=("-q", "--events", f"fd:{writer}"), pass_fds=(writer,)
        )
        os.close(writer)
        records = [json.loads(line) for line in source.read().splitlines()]
    assert done.status == 3, done.describe()
    assert records[0]["type"] == "run"
    assert records[-1]["type"] == "end"
    assert (records[-1]["status"], records[-1]["complete"], records[-1]["lost"]) == (3, True, 0)
    assert any(record["type"] == "access" and record["path"] == "/etc/passwd" for record in records)
    assert [record["id"] for record in records if "id" in record] == sorted(r["id"] for r in records if "id" in r)


def test_only_passed_descriptors_are_inherited(bench: Bench) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        number = theirs.fileno()
        command = ["bash", "-c", f"echo hello >&{number}"]
        kept = bench.confined(command, options=("-q", "--pass-fd", str(number)), pass_fds=(number,))
        assert kept.status == 0, kept.describe()
        assert ours.recv(100) == b"hello\n"
        closed = bench.confined(command, options=("-q",), pass_fds=(number,))
        assert closed.status == 1, closed.describe()


def test_the_pipe_of_a_jobserver_is_passed_with_the_variable_that_names_it_and_nothing_else_is(
    each_bench: Bench,
) -> None:
    pipes = [os.pipe(), os.pipe()]
    (inner, outer), (_, other) = pipes
    numbers = [number for pipe in pipes for number in pipe]

    def passed(makeflags: str, *options: str) -> set[int]:
        env = {"MAKEFLAGS": makeflags}
        done = each_bench.confined("echo /proc/self/fd/*", options=("-q", *options), env=env, pass_fds=numbers)
        assert done.status == 0, done.describe()
        return {int(name.rpartition("/")[2]) for name in done.text.split()} & set(numbers)

    try:
        assert passed(f" -j2 --jobserver-auth={inner},{outer}") == {inner, outer}
        assert passed(f" -j2 --jobserver-auth=7,8 --jobserver-fds={inner},{outer} -- A=b") == {inner, outer}
        assert passed(f" -j2 --jobserver-auth={inner},{outer}", "--clear-env", "--env", "PATH") == set()
        assert passed(f" -j2 --jobserver-auth={inner},{other}") == set()
        assert passed(f" -j2 --jobserver-auth={outer},{inner}") == set()
        assert passed(f" -j2 --jobserver-auth={inner}") == set()
        assert passed(" -j2 --jobserver-auth=fifo:/tmp/absent") == set()
        assert passed(" -j2 --jobserver-auth=-2,-2") == set()
    finally:
        for number in numbers:
            os.close(number)


def test_a_descriptor_to_pass_that_is_not_open_is_capwraps_failure(bench: Bench) -> None:
    done = bench.confined(["true"], options=("--pass-fd", "99"))
    assert done.status == 125, done.describe()
    assert done.stderr.startswith(b"capwrap: ")


def test_what_command_leaves_behind_is_killed(each_bench: Bench) -> None:
    # The background job holds the pipe: it closes when the job is gone, and until then the run hangs.
    done = each_bench.confined("(sleep 1000; echo too late >late) & echo $!", timeout=60)
    assert done.status == 0, done.describe()
    assert not (each_bench.work / "late").exists()


def test_linger_waits_for_what_command_leaves_behind(each_bench: Bench) -> None:
    script = "mkfifo go; (read -r word <go; echo $word >late) & (echo done >go) & exit 6"
    done = each_bench.confined(script, options=("-q", "--linger"))
    assert done.status == 6, done.describe()
    assert (each_bench.work / "late").read_text() == "done\n"


def test_net_none_reaches_nothing(each_bench: Bench) -> None:
    program = """\
import socket
def attempt(what):
    try:
        return what()
    except OSError as error:
        return error.strerror
tcp = socket.socket()
print(attempt(lambda: tcp.connect(("127.0.0.1", PORT))))
print(attempt(lambda: tcp.bind(("127.0.0.1", 0))))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print(attempt(lambda: udp.sendto(b"x", ("127.0.0.1", PORT))))
print(attempt(lambda: udp.sendmsg([b"x"], [], 0, ("127.0.0.1", PORT))))
print(attempt(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)))
print(attempt(lambda: socket.socket(socket.AF_UNIX).connect("\\0abstract-PORT")))
a, b = socket.socketpair()
a.send(b"x"); print(b.recv(1))
"""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as abstract:
        port = server.getsockname()[1]
        abstract.bind(f"\0abstract-{port}")
        abstract.listen()
        each_bench.fresh({"net.py": program.replace("PORT", str(port))})
        done = each_bench.confined(["/usr/bin/python3", "net.py"])
    unreachable = "Network is unreachable\n"
    expected = [unreachable, "Cannot assign requested address\n", unreachable, unreachable]
    lines = done.text.splitlines(keepends=True)
    assert lines[:4] == expected, done.describe()
    assert lines[4] == "Address family not supported by protocol\n"
    assert lines[5] in ("Connection refused\n", "Operation not permitted\n")
    assert lines[6] == "b'x'\n"


def test_net_loopback_connects_only_to_what_the_target_bound(bench: Bench) -> None:
    program = """\
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
client.sendall(b"ping"); print(peer.recv(4))
try:
    socket.create_connection(("127.0.0.1", PORT))
except OSError as error:
    print(error.strerror)
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        bench.fresh({"net.py": program.replace("PORT", str(server.getsockname()[1]))})
        done = bench.confined(["/usr/bin/python3", "net.py"], options=("-q", "--net", "loopback"))
    assert done.text.splitlines()[0] == "b'ping'", done.describe()
    assert done.text.splitlines()[1] in ("Network is unreachable", "Connection refused"), done.describe()


def test_net_host_and_connect_open_what_they_name(bench: Bench) -> None:
    program = "import socket; print(socket.create_connection(('127.0.0.1', PORT)).getpeername()[0])"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        argv = ["/usr/bin/python3", "-c", program.replace("PORT", str(port))]
        for options in (("--net", "host"), ("--connect", f"tcp:127.0.0.1:{port}")):
            done = bench.confined(argv, options=("-q", *options))
            assert done.text == "127.0.0.1\n", f"{options}: {done.describe()}"


def test_a_refused_address_is_named_as_people_write_it(bench: Bench) -> None:
    """RFC 5952, which inet_ntop follows; the flag that is named permits just this address."""
    addresses = ["::1", "::", "2001:db8::7", "2001:db8:0:1:1:1:1:1", "1:0:0:2::3", "fe80::1:0:0:1", "1:2:3:4:5:6:7:0"]
    program = f"import socket\nfor a in {addresses}:\n socket.socket(socket.AF_INET6).connect_ex((a, 80))"
    done = bench.confined(["/usr/bin/python3", "-c", program], options=())
    named = [line.split()[-1].strip("'") for line in done.stderr.decode().splitlines() if "allow with" in line]
    assert sorted(named) == sorted(f"tcp:[{address}]:80" for address in addresses), done.describe()


def test_bind_permits_the_addresses_that_it_names(bench: Bench) -> None:
    program = """\
import socket
def attempt(make, address):
    try:
        made = socket.socket(*make)
        made.bind(address)
        made.listen()
        return "listens"
    except OSError as error:
        return error.strerror
tcp, unix = (socket.AF_INET,), (socket.AF_UNIX,)
print(attempt(tcp, ("127.0.0.1", PORT)), attempt(tcp, ("127.0.0.1", 0)))
print(attempt(unix, "ROOT/named"), attempt(unix, "ROOT/other"))
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    program = program.replace("PORT", str(port)).replace("ROOT", str(bench.root))
    options = ("-q", "--bind", f"tcp:127.0.0.1:{port}", "--bind", f"unix:{bench.root}/named")
    done = bench.confined(["/usr/bin/python3", "-c", program], options=options)
    assert done.text == "listens Cannot assign requested address\nlistens No such file or directory\n", done.describe()
    assert (bench.root / "named").is_socket()


def test_a_signal_sent_to_capwrap_reaches_command(bench: Bench) -> None:
    capwrap = " ".join([*bench.runner.capwrap, "run", "-q", "--"])
    command = "sh -c 'trap \"echo caught; exit 8\" TERM; echo ready >f; sleep 1000 & wait'"
    script = f"mkfifo f; {capwrap} {command} & read -r _ <f; kill $!; wait $!"
    done = bench.runner.native(["sh", "-c", script], cwd=bench.work, env=bench.env, timeout=60)
    assert (done.status, done.stdout) == (8, b"caught\n"), done.describe()
