"""The examples of docs/integration for checks do what their pages say: GitHub Actions, pre-commit, pytest."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import jsonschema
import pytest
import yaml
from support.compare import Bench
from support.examples import Example
from support.run import REPO, Outcome, require

TEXT = {"type": "string"}
STEP = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("id", "if", "name", "run", "shell", "uses", "working-directory"), TEXT),
        "with": {"type": "object"},
        "env": {"type": "object", "additionalProperties": TEXT},
        "continue-on-error": {"type": ["boolean", "string"]},
    },
    "oneOf": [{"required": ["run"]}, {"required": ["uses"]}],
    "additionalProperties": False,
}
ACTION = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "description": TEXT,
        "author": TEXT,
        "inputs": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"},
            "additionalProperties": {
                "type": "object",
                "properties": {"description": TEXT, "required": {"type": "boolean"}, "default": TEXT},
                "required": ["description"],
                "additionalProperties": False,
            },
        },
        "outputs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"description": TEXT, "value": TEXT},
                "required": ["description", "value"],
                "additionalProperties": False,
            },
        },
        "runs": {
            "type": "object",
            "properties": {
                "using": {"const": "composite"},
                # A step of a composite action that runs something has to name its shell.
                "steps": {
                    "type": "array",
                    "items": {**STEP, "if": {"required": ["run"]}, "then": {"required": ["shell"]}},
                },
            },
            "required": ["using", "steps"],
            "additionalProperties": False,
        },
    },
    "required": ["name", "description", "runs"],
    "additionalProperties": False,
}
"""The shape of a composite action, after "Metadata syntax reference" of GitHub's documentation."""
WORKFLOW = {
    "type": "object",
    "properties": {
        "name": TEXT,
        "on": {"type": ["string", "array", "object"]},
        "permissions": {"type": "object", "additionalProperties": {"enum": ["read", "write", "none"]}},
        "jobs": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "properties": {"runs-on": TEXT, "steps": {"type": "array", "items": STEP, "minItems": 1}},
                "required": ["runs-on", "steps"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["on", "jobs"],
    "additionalProperties": False,
}
"""What the example uses of a workflow's, after "Workflow syntax for GitHub Actions"."""


def read(name: str) -> Any:
    """A file of the example. YAML 1.1 takes the word `on` for a truth value, which GitHub does not."""
    document = yaml.safe_load((REPO / "examples/github-actions" / name).read_text())
    return {"on" if key is True else key: value for key, value in document.items()}


class Job:
    """A job on a runner: what GitHub's runner gives to the scripts of a composite action, and takes from them."""

    def __init__(self, bench: Bench) -> None:
        self.example = Example(bench, "github-actions")
        self.checkout = bench.home / "work/app/app"  # in the home directory, as on GitHub's machines
        self.temp = bench.home / "work/_temp"
        for directory in (self.checkout / ".git", self.temp / "_runner_file_commands"):
            directory.mkdir(parents=True)
        (self.checkout / ".git/config").write_text("[http]\n\textraheader = AUTHORIZATION: basic token\n")
        (self.checkout / "source").write_text("a line\n")
        self.files = {
            name: self.temp / "_runner_file_commands" / name.lower()
            for name in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")
        }
        self.environ = self.example.env | {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(REPO / "examples/github-actions"),
            "GITHUB_TOKEN": "secret-token",
            "GITHUB_WORKSPACE": str(self.checkout),
            "RUNNER_TEMP": str(self.temp),
            **{name: str(path) for name, path in self.files.items()},
        }

    def step(self, number: int, **inputs: str) -> Outcome:
        """Run a step of the action with inputs; `shell: bash` is this command line."""
        action = read("action.yml")
        step = action["runs"]["steps"][number]
        assert step["shell"] == "bash"
        assert "${{" not in step["run"], "an input in the text of a script would be taken for shell"
        given = {name: inputs.get(name, one.get("default", "")) for name, one in action["inputs"].items()}
        env = {name: EXPRESSION.sub(lambda found: given[found[1]], text) for name, text in step.get("env", {}).items()}
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        for file in self.files.values():
            file.write_text("")
        shell = ("bash", "--noprofile", "--norc", "-eo", "pipefail", script)
        return self.example.bench.runner.native(shell, cwd=self.checkout, env=self.environ | env)

    def outputs(self) -> dict[str, str]:
        lines = self.files["GITHUB_OUTPUT"].read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


EXPRESSION = re.compile(r"\$\{\{ inputs\.([a-z]+) \}\}")
INSTALL, RUN = 0, 1


@pytest.fixture
def job(bench: Bench) -> Job:
    require("bash")
    return Job(bench)


def test_the_action_and_the_workflow_have_the_shape_that_github_documents() -> None:
    action, workflow = read("action.yml"), read("workflow.yml")
    jsonschema.validate(action, ACTION)
    jsonschema.validate(workflow, WORKFLOW)
    (use,) = [step for job in workflow["jobs"].values() for step in job["steps"] if "capwrap" in step.get("uses", "")]
    assert use["uses"].partition("/capwrap/")[2].partition("@")[0] == "examples/github-actions"
    assert set(use["with"]) <= set(action["inputs"])
    assert {name for name, one in action["inputs"].items() if one.get("required")} <= set(use["with"])
    used = EXPRESSION.findall(str(action["runs"]))
    assert sorted(used) == sorted(action["inputs"])


def test_the_action_runs_a_command_confined_and_passes_its_status_on(job: Job) -> None:
    done = job.step(RUN, run="cat source; echo out >made; exit 3")
    assert done.status == 3, done.describe()
    assert "a line" in done.text
    assert (job.checkout / "made").read_text() == "out\n"
    assert "::error" not in done.text
    assert job.outputs() == {"refusals": "0"}
    well = job.step(RUN, run="cat source | grep line\ncat made")
    assert well.status == 0, well.describe()


def test_the_action_keeps_the_token_the_secrets_and_the_runners_files_from_the_command(job: Job) -> None:
    command = "cat .git/config $HOME/work/_temp/script.sh 2>/dev/null || true; env"
    done = job.step(RUN, run=command)
    assert done.status == 120, done.describe()
    assert "token" not in done.text
    assert "GITHUB_" not in done.text
    note = (
        f"::error title=capwrap%3A not-granted::{job.checkout}/.git/config: openat: ENOENT, not granted%0Aby cat .git/"
    )
    assert sum(line.startswith(note) for line in done.text.splitlines()) == 1, done.describe()
    assert job.outputs() == {"refusals": "2"}
    summary = job.files["GITHUB_STEP_SUMMARY"].read_text().splitlines()
    assert summary[0] == "### Refused by capwrap"
    assert all(line.startswith("    ") for line in summary[1:])
    assert any(f"{job.checkout}/.git/config" in line for line in summary)


def test_the_action_writes_sarif_where_it_is_asked_for(job: Job) -> None:
    where = job.temp / "capwrap.sarif"
    assert job.step(RUN, run="test -e /etc/shadow", sarif=str(where)).status == 1
    results = json.loads(where.read_text())["runs"][0]["results"]
    assert len(results) == 1
    assert "/etc/shadow" in json.dumps(results)


def test_what_the_command_prints_is_no_command_to_the_runner(job: Job) -> None:
    done = job.step(RUN, run="echo '::error::forged'; echo '::stop::'; echo ::add-mask::a")
    lines = done.text.splitlines()
    stop = re.fullmatch(r"::stop-commands::([0-9a-f]{32})", lines[0])
    assert stop, done.describe()
    assert lines.index("::error::forged") < lines.index(f"::{stop[1]}::")


def test_the_options_of_the_action_are_options_of_run(job: Job) -> None:
    options = "--profile base\n  --ro source --chdir ."
    done = job.step(RUN, run="cat source; ls -A", options=options)
    assert (done.status, done.text.splitlines()[1:3]) == (0, ["a line", "source"]), done.describe()
    (use,) = [
        step["with"]
        for step in read("workflow.yml")["jobs"]["lint"]["steps"]
        if "with" in step and "run" in step["with"]
    ]
    assert job.step(RUN, run="true", options=use["options"]).status == 0
    wrong = job.step(RUN, run="true", options="--no-such-option")
    assert wrong.status == 125, wrong.describe()
    assert b"capwrap: " in wrong.stderr


def test_the_action_installs_capwrap_once(job: Job) -> None:
    """With a Python that writes down what it is asked: the real one would ask for a package index."""
    assert job.step(INSTALL).status == 0
    assert job.files["GITHUB_PATH"].read_text() == ""

    tools = job.temp / "tools"
    tools.mkdir()
    asked = job.temp / "asked"
    (tools / "python3").write_text(
        f'#!/bin/sh -e\necho "python3 $*" >>{asked}\nmkdir -p "$3/bin"\n'
        f'printf \'#!/bin/sh\\necho "pip $*" >>{asked}\\n\' >"$3/bin/pip"\nchmod +x "$3/bin/pip"\n'
    )
    (tools / "python3").chmod(0o755)
    job.environ["PATH"] = f"{tools}:/usr/bin:/bin"
    for source, given in (("", f"{REPO}/examples/github-actions/../.."), ("git+https://example.org/c", None)):
        asked.unlink(missing_ok=True)
        done = job.step(INSTALL, source=source)
        assert done.status == 0, done.describe()
        venv = job.temp / "capwrap"
        assert asked.read_text() == f"python3 -m venv {venv}\npip install --quiet {given or source}\n"
        assert job.files["GITHUB_PATH"].read_text() == f"{venv}/bin\n"


# pre-commit


@pytest.fixture
def project(bench: Bench) -> Example:
    require("git")
    made = Example(bench, "pre-commit")
    made.env["GIT_CONFIG_GLOBAL"] = "/dev/null"
    made.path("src").mkdir()
    made.path("src/a.txt").write_text("a line \n")
    made.path("README").write_text("read me\n")
    made.run("git", "init", "-q")
    made.run("git", "add", "-A")
    return made


def pre_commit(project: Example, status: int) -> str:
    return project.said(sys.executable, "-m", "pre_commit", "run", "--all-files", "--color=never", status=status)


def test_pre_commit_runs_its_hooks_confined(project: Example) -> None:
    said = pre_commit(project, 1)
    assert re.search(r"line lengths\.+Passed", said), said
    assert re.search(r"trailing space\.+Failed\n- hook id: trailing-space\n- files were modified by this hook", said), (
        said
    )
    assert project.path("src/a.txt").read_text() == "a line\n"
    project.path("README").write_text("x" * 101 + "\n")
    said = pre_commit(project, 1)
    assert "README:1: 101 characters" in said
    assert re.search(r"trailing space\.+Passed", said), said
    assert "capwrap: " not in said


def test_pre_commit_stops_a_hook_that_goes_where_it_was_not_sent(project: Example) -> None:
    hook = project.path("tools/line-lengths")
    hook.write_text("#!/bin/sh\ncat .git/config >/dev/null 2>&1\nexit 0\n")
    said = pre_commit(project, 1)
    assert re.search(r"line lengths\.+Failed\n- hook id: line-lengths\n- exit code: 120\n", said), said
    assert f"allow with: --ro {project.path('.git/config')}" in said
    hook.write_text("#!/bin/sh\n: >>README 2>/dev/null\nexit 0\n")
    said = pre_commit(project, 1)
    assert f"{project.path('README')}: openat: EACCES" in said, said


# pytest


def run_pytest(project: Example, status: int) -> str:
    base = project.bench.root / "home/tests"
    flags = ("-p", "no:cacheprovider", "-q", f"--basetemp={base}", "--rootdir=.")
    return project.said(sys.executable, "-m", "pytest", *flags, status=status)


def test_pytest_passes_what_was_refused_nothing(bench: Bench) -> None:
    assert "2 passed" in run_pytest(Example(bench, "pytest"), 0)


def test_pytest_fails_a_test_whose_program_was_refused_something(bench: Bench) -> None:
    project = Example(bench, "pytest")
    project.edit("report", "wc -w", "cat /etc/shadow >/dev/null 2>&1 || :\nwc -w")
    project.edit("test_report.py", "test_a_report_on_a_file_elsewhere", "no_test_of_a_report_on_a_file_elsewhere")
    said = run_pytest(project, 1)
    assert "1 passed, 1 error" in said
    assert "the program was refused:\n/etc/shadow: needs read; allow with --ro /etc/shadow\n" in said
