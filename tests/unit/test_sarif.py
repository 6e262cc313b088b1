"""explain --format sarif against the schema that OASIS publishes for SARIF 2.1.0.

pydantic-sarif has it as models that datamodel-codegen made of sarif-schema-2.1.0.json: types, required and permitted
properties, enumerations, patterns and bounds. What it says by anyOf is checked here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Log
from recorded import PID, Written

from capwrap.cli import main
from capwrap.observe.records import KINDS

NASTY = "/a\udcff\x1b]0;x\x07\n%\"'\\ü\u202e b#?"


def validate(text: str) -> dict[str, Any]:
    """Raises ValidationError."""
    Log.model_validate_json(text, strict=True)
    log: dict[str, Any] = json.loads(text)
    for run in log["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            assert result["message"].get("text") or result["message"].get("id")
            if result["ruleIndex"] >= 0:
                assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
            for location in result["locations"]:
                # artifactLocation or address; an artifactLocation has uri or index
                physical = location.get("physicalLocation")
                assert physical is None or physical["artifactLocation"]["uri"]
                assert physical is not None or location["logicalLocations"]
    return log


def sarif(path: Path, capfd: pytest.CaptureFixture[str]) -> str:
    assert main(["explain", str(path), "--format", "sarif"]) == 0
    return capfd.readouterr().out


@pytest.fixture
def record() -> Written:
    """A refusal of every kind, with and without paths, options, stacks and texts that are not UTF-8."""
    made = Written("make", "all")
    made.start(PID + 1, PID)
    made.exec(PID + 1, "cc", NASTY)
    stack = [
        {"module": "/usr/bin/cc", "build_id": "00", "offset": 1, "symbol": "read_config", "file": "a b.c", "line": 40},
        {"module": NASTY.encode("utf-8", "surrogateescape").decode("latin-1"), "symbol": "x", "file": "/abs.c"},
        {"offset": 7},
    ]
    for kind in KINDS[1:]:
        made.refusal(f"/etc/{kind}", "read", why=kind, pid=PID + 1, stack=stack)
    made.refusal("", why="syscall", syscall="mount", allow=None, hint="never", host=None)
    made.refusal("", why="network", syscall="connect", address="tcp:[::1]:80", allow="--connect 'tcp:[::1]:80'")
    made.refusal("/a", "renameat_source", syscall="rename", path2="/b", cwd="/", times=7)
    made.refusal("/x", "read", stack=[{"file": "f.c", "line": 1 << 60, "symbol": "s"}])
    return made


def test_every_refusal_is_told_as_the_schema_of_sarif_has_it(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str]
) -> None:
    log = validate(sarif(record.save(tmp_path / "e"), capfd))
    (run,) = log["runs"]
    assert {result["ruleId"] for result in run["results"]} == set(KINDS[1:])
    assert len(run["results"]) == len(KINDS) - 1 + 4


def test_a_record_without_refusals_is_an_empty_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = validate(sarif(Written("true").save(tmp_path / "e"), capfd))
    assert log["runs"][0]["results"] == []


def _level(log: dict[str, Any]) -> None:
    log["runs"][0]["results"][0]["level"] = "fatal"


def _extra(log: dict[str, Any]) -> None:
    log["runs"][0]["results"][0]["locations"][0]["file"] = "x"


def _line(log: dict[str, Any]) -> None:
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] = {"startLine": 0}


def _name(log: dict[str, Any]) -> None:
    del log["runs"][0]["tool"]["driver"]["name"]


def _count(log: dict[str, Any]) -> None:
    log["runs"][0]["results"][0]["occurrenceCount"] = "3"


@pytest.mark.parametrize("breaks", [_level, _extra, _line, _name, _count])
def test_the_schema_refuses_what_is_no_sarif(
    tmp_path: Path, record: Written, capfd: pytest.CaptureFixture[str], breaks: Callable[[dict[str, Any]], None]
) -> None:
    log = json.loads(sarif(record.save(tmp_path / "e"), capfd))
    breaks(log)
    with pytest.raises(ValidationError):
        validate(json.dumps(log))
