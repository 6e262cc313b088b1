"""Bad arguments: every path call answers what the kernel answers, and none hurts the supervisor."""

from __future__ import annotations

from support.compare import Bench, copying
from support.programs import Programs


def test_bad_pointers_descriptors_and_flags_answer_as_natively(each_bench: Bench, programs: Programs) -> None:
    program = programs("system/pointers")
    script = "echo 0123456789 >file; mkdir dir; ln -s file link; exec ./pointers </dev/null"
    pair = each_bench.compare(script, setup=copying(program))
    assert pair.native.stdout.count(b"\n") > 900
    assert pair.native.stdout.count(b"EFAULT") > 300


def test_the_same_answers_come_where_nothing_is_granted(each_bench: Bench, programs: Programs) -> None:
    """Without a granted directory every lookup is the supervisor's: a bad pointer must still be EFAULT, not ENOENT."""
    program = programs("system/pointers")
    each_bench.fresh({"file": "0123456789\n", "dir/x": "x"})
    (each_bench.work / "link").symlink_to("file")
    script = f"cd {each_bench.work} && exec {program} </dev/null"
    done = each_bench.confined(
        script, options=("-q", "--rox", program.parent, "--grant", f"read,lookup,fstat,fchdir:{each_bench.work}")
    )
    # Calls with two names look the first one up before they say that the second cannot be read.
    single = [line for line in done.text.splitlines() if not line.startswith(("rename", "link"))]
    wrong = [line for line in single if "in the kernel" in line and "EFAULT" not in line]
    assert done.status == 0, done.describe()
    assert not wrong, wrong
