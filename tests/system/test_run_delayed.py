"""What a call is made with is the caller's own, however many others are made before its thread comes to make it."""

from __future__ import annotations

import pytest
from support.compare import Bench, copying
from support.programs import Programs


@pytest.mark.parametrize("call", ["chdir", "connect"])
def test_a_thread_that_is_delayed_gets_what_it_asked_for(bench: Bench, programs: Programs, call: str) -> None:
    pair = bench.compare(["./delayed", call], setup=copying(programs("system/delayed")), options=("--net", "host"))
    assert pair.native.text.startswith("0 of "), pair.native.describe()


@pytest.mark.parametrize(
    ("places", "options"), [("one", ("--connect", "tcp:127.0.0.1:9")), ("many", ("--net", "host"))]
)
def test_addresses_do_not_run_out(bench: Bench, programs: Programs, places: str, options: tuple[str, str]) -> None:
    setup = copying(programs("system/addresses"))
    pair = bench.compare(["./addresses", places], setup=setup, options=options)
    assert pair.native.text == "0 of 300 wrong\nnone: good\n"


def test_what_a_message_carries_arrives_where_its_control_data_is_made_anew(bench: Bench, programs: Programs) -> None:
    pair = bench.compare(["./messages"], setup=copying(programs("system/messages")), options=("--net", "loopback"))
    assert "800 of 800 came, 0 failed" in pair.native.text, pair.native.describe()


def test_connections_that_wait_for_their_listener_come_about(bench: Bench, programs: Programs) -> None:
    pair = bench.compare(["./joining"], setup=copying(programs("system/joining")), options=("--net", "loopback"))
    assert "Interrupted" in pair.native.text, pair.native.describe()
