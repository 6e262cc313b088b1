"""Shells: pipelines, subshells, traps, redirections, here-documents, in busybox, dash and bash."""

from __future__ import annotations

import pytest
from support.compare import Bench
from support.run import require

SCRIPT = """\
set -eu
echo "$0 $# $PWD"
printf '%s\\n' c a b | sort | while read -r line; do echo "got $line"; done
n=0; while [ $n -lt 50 ]; do n=$((n + 1)); (echo $n >"f$n") & done; wait
cat f* | wc -l | tr -d ' '
cat <<END >doc
a document with $n
END
exec 3<doc; read -r first <&3; exec 3<&-; echo "$first"
exec 4>>log; echo to four >&4; exec 4>&-; cat log
trap 'echo trapped' USR1; kill -USR1 $$
trap 'echo leaving' EXIT
(exit 9) || echo "status $?"
sh -c 'kill -TERM $$' || echo "status $?"
mkfifo up; sh -c 'echo >up; exec sleep 100' & pid=$!; read -r line <up; kill $pid; wait $pid || echo "status $?"
kill -0 $pid 2>/dev/null || echo gone
mkfifo pipe; (echo through >pipe) & read -r word <pipe; echo "$word"
umask 077; mkdir private; umask; [ -d private ] && [ ! -e absent ] && [ -x /bin/sh ]
cd private && pwd && cd .. && cd ./private/../private && pwd && cd "$OLDPWD"
for f in f1*; do case $f in f1) echo one ;; *) rm "$f" ;; esac; done
command -v no-such-command || echo "no such command"
./absent 2>/dev/null || echo "status $?"
./doc 2>/dev/null || echo "status $?"
echo $(ls | wc -l)
{ echo out; echo err >&2; } >both 2>&1; cat both
: >empty; [ -s empty ] || echo empty; set -C; (: >empty) 2>/dev/null || echo "kept"
ulimit -n >/dev/null; times >/dev/null
"""


@pytest.mark.parametrize("shell", ["busybox sh", "dash", "bash"])
def test_a_script_runs_as_natively(each_bench: Bench, shell: str) -> None:
    require(shell.split(maxsplit=1)[0])
    # Standard error holds messages about jobs, with process numbers. What is killed has begun: before its exec, a
    # child of bash would run the trap of its parent.
    each_bench.compare([*shell.split(), "script", "x"], files={"script": SCRIPT}, stderr=False, timeout=60)


def test_busybox_applets_work_as_natively(bench: Bench) -> None:
    require("busybox")
    files = {f"d/{name}": name * 3 for name in ("a", "b", "c")}
    script = """
        find d | sort; ls -l d | cut -c1-10; cp -a d e; mv e/a e/z; rm e/b; ln -s z e/l; stat -c %F e/l; readlink -f e/l
        tar cf - d | tar tf - | sort; gzip -c d/a | gunzip; md5sum d/*; awk '{ print length }' d/a
        sed -i s/a/x/ d/a; cat d/a
        touch new; chmod 600 new; mkdir -p p/q; rmdir p/q; dd if=d/a of=dd bs=2 count=2 2>/dev/null; od -c dd
        which sh >/dev/null
        ps >/dev/null; xargs -n1 echo <d/b; vi -h >/dev/null 2>&1 || true; realpath d; env | grep ^PWD
    """
    bench.compare(["busybox", "sh", "-euc", script], files=files)


def test_bash_features_that_need_descriptors_work_as_natively(bench: Bench) -> None:
    script = """
        diff <(printf 'a\\nb\\n') <(printf 'a\\nc\\n'); echo $?
        coproc cat; echo ping >&"${COPROC[1]}"; read -r answer <&"${COPROC[0]}"; echo "$answer"; kill $COPROC_PID
        exec {fd}>out; echo "to $fd" >&$fd; exec {fd}>&-; cat out
        tee >(cat >a) <<<"here" >b; wait; ls; echo done >/dev/stderr; cat /dev/stdin <<<x; cat /dev/fd/0 <<<y
        mapfile -t lines <a; echo "${#lines[@]}"; shopt -s globstar; mkdir -p x/y; : >x/y/z; echo **/z
        echo "$BASHPID" >/dev/null
    """
    # Nothing waits for the `cat` of the process substitution but what comes after it.
    bench.compare(["bash", "-c", script], ignore=("a",))


def test_the_environment_is_the_same(bench: Bench) -> None:
    bench.compare("env | sort", env={"ADDED": "by --env", "EMPTY": ""})


def test_descriptors_start_at_the_lowest_free_number_and_limits_are_as_natively(bench: Bench) -> None:
    bench.compare("exec 5>x; ls -l /proc/self/fd | awk 'NR > 1 { print $1, $9 }'; ulimit -a | grep -v 'open files'")


def test_umask_signals_and_priority_are_inherited(bench: Bench) -> None:
    script = "umask; nice -n 5 nice; grep -E '^(Sig(Blk|Ign|Cgt)|Umask|NSpid):' /proc/self/status | grep -v NSpid"
    bench.compare(script)
