from __future__ import annotations

from conftest import PROJECT, Confined


def test_a_report_is_written(confined: Confined) -> None:
    (confined.directory / "words").write_text("one two three\n")
    done = confined.run(PROJECT / "report", "words")
    assert (done.returncode, done.stderr) == (0, "")
    assert (confined.directory / "words.count").read_text() == "3\n"


def test_a_report_on_a_file_elsewhere_is_refused(confined: Confined) -> None:
    done = confined.run(PROJECT / "report", "/etc/shadow")
    assert done.returncode != 0
    assert confined.refused() == ["/etc/shadow"]
