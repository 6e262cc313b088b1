"""File tools: trees that they copy, pack, walk and edit end up as they do natively."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.compare import Bench
from support.run import require

_TIME = 1_600_000_000


def plant(work: Path) -> None:
    """A tree with every kind of file that an unprivileged user can make, and modes and times of its own."""
    tree = work / "tree"
    for directory in ("sub/deep/deeper", "empty", "private", "with space"):
        (tree / directory).mkdir(parents=True)
    for number in range(40):
        (tree / "sub" / f"file{number:02}.txt").write_text(f"line one\nneedle {number}\nlast line\n" * (number + 1))
    (tree / "with space" / "a b\nc").write_text("a newline in the name\n")
    (tree / os.fsdecode(b"sub/latin-\xe9")).write_text("not UTF-8\n")
    (tree / "big").write_bytes(bytes(range(256)) * 4096)
    (tree / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (tree / "run.sh").chmod(0o755)
    (tree / "private").chmod(0o700)
    (tree / "link").symlink_to("sub/file00.txt")
    (tree / "dangling").symlink_to("nowhere/at/all")
    (tree / "sub/up").symlink_to("../sub/deep")
    os.link(tree / "big", tree / "big-again")
    os.mkfifo(tree / "fifo")
    for path in [*tree.rglob("*"), tree]:
        os.utime(path, (_TIME, _TIME), follow_symlinks=False)


SCRIPTS = {
    "cp -a": "cp -a tree copy && find copy -printf '%P %y %m %T@\\n' | sort && rm -rf copy/sub && cp -a tree/. copy",
    "cp over, with backups": """
        cp tree/big out; cp --backup=numbered tree/run.sh out; cp -l tree/big hard; cp -s $PWD/out s
    """,
    "mv": """
        mv tree/sub moved && mv -T moved tree/empty && mv tree/big tree/private/ &&
        mv -n tree/run.sh tree/link || true
    """,
    "ln": "ln tree/big one; ln -s one two; ln -sf big-again tree/link; ln -f tree/run.sh one; readlink two tree/link",
    "rm": "rm -rf tree/sub 'tree/with space'; rmdir tree/empty; rm -f tree/fifo tree/nothing; ls -A tree",
    "chmod, touch, install, truncate": """
        chmod -R u=rwX,go= tree; chmod 4755 tree/run.sh; chmod +t tree/empty; umask 027
        touch new; touch -d @5 -h tree/dangling; install -D -m 640 tree/big a/b/c; truncate -s 100 tree/run.sh
        mkdir -m 1777 -p p/q; stat -c '%a %s %n' new tree/run.sh a/b/c p/q; stat -c %Y tree/dangling
    """,
    "tar": """
        tar --sort=name --format=gnu --owner=0 --group=0 --numeric-owner -cf a.tar tree
        mkdir out && tar -xpf a.tar -C out && tar -df a.tar -C out && tar -tvf a.tar | wc -l
        rm -rf out/tree/sub && tar -xf a.tar -C out tree/sub && tar --delete -f a.tar tree/big
    """,
    "tar through gzip, bzip2 and xz": """
        for z in gzip bzip2 xz; do tar --sort=name -cf - tree | $z -6 >a.$z; mkdir $z; $z -dc a.$z | tar -xf - -C $z
        done
        diff -r --no-dereference gzip/tree/sub xz/tree/sub
    """,
    "gzip in place": """
        cd tree && gzip -n9 big run.sh -f && gzip -l big.gz && gunzip -f big.gz && gzip -nk run.sh.gz || ls
    """,
    "find": """
        find tree -name '*.txt' -newermt @1 -size +0 | sort; find tree -type l -printf '%p %l\\n' | sort
        find tree -name 'file0*' -exec grep -H needle {} + | sort | head -n 5; find tree -xdev -type d -empty
        find tree/sub -name 'file3*' -delete; find tree -path '*/deep*' | sort
        find tree -maxdepth 1 -execdir pwd ';' | uniq
    """,
    "xargs": "find tree -type f -print0 | sort -z | xargs -0 -n 3 -P 2 sha256sum | sort",
    "grep -r": "grep -rlI needle tree | sort; grep -c needle tree/sub/*.txt; grep -r absent tree || echo none",
    "sed -i": """
        sed -i 's/needle/thread/' tree/sub/*.txt; sed -i.bak 2d tree/link
        sed -i --follow-symlinks 1d tree/sub/up/../file02.txt
    """,
    "sort, split, join on files": """
        cat tree/sub/*.txt | sort -T . -S 64k -o sorted; split -n 5 sorted part-; cat part-?? | cmp - sorted
        sort -u sorted | comm -12 - sorted | head -n 3; tee one two <sorted | md5sum
        shuf --random-source=tree/big sorted | head -n 2
    """,
    "dd": """
        dd if=tree/big of=d bs=1000 skip=3 count=7 2>/dev/null
        dd if=tree/big of=d conv=notrunc,fsync seek=9 bs=512 count=1 2>/dev/null
    """,
    "names of places": """
        pwd; pwd -P; realpath . tree/link tree/sub/up/..; readlink -f tree/dangling || readlink -m tree/dangling
        cd tree/sub/up; pwd; pwd -P; cd ..; pwd; cd -P ..; pwd; realpath --relative-to=/usr/lib .
    """,
    "patch and diff": """
        cp -r tree/sub new; sed -i 's/one/1/' new/file01.txt; rm new/file02.txt
        diff -ruN --no-dereference tree/sub new >p || [ $? = 1 ]; sed -E 's/\\t.*//' p | head -n 20; rm p
    """,
    "a FIFO between two processes": "mkfifo f; (cat f >got) & echo through the fifo >f; wait; cat got",
    "file times and sizes": """
        stat -c '%n %F %s %a %h %Y' tree/* | sort; du -a --apparent-size tree/sub | sort | head; df . >/dev/null
    """,
    "mktemp and flock": """
        d=$(mktemp -d ./XXXXXX); touch $d/a; rm -r $d; flock lock sh -c 'flock -n lock true || echo held'
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_handles_files_as_natively(each_bench: Bench, name: str) -> None:
    require("tar", "gzip", "bzip2", "xz", "find", "sed", "grep", "flock")
    each_bench.compare(SCRIPTS[name], setup=plant)


def test_rsync_copies_updates_and_deletes_as_natively(each_bench: Bench) -> None:
    require("rsync")
    script = """
        rsync -aH tree/ copy
        rm copy/big; echo changed >>copy/run.sh; touch copy/extra
        rsync -aHi --delete --checksum tree/ copy | sort
        rsync -a --link-dest=$PWD/copy tree/sub other
        rsync -an --delete tree/ copy
    """
    each_bench.compare(script, setup=plant)


def test_attributes_and_access_lists_are_copied_as_natively(each_bench: Bench) -> None:
    require("rsync", "tar", "setfattr", "setfacl")
    script = """
        setfattr -n user.key -v value tree/big; setfacl -m u:65534:rw tree/run.sh; setfacl -d -m g:7:rx tree/sub
        cp -a tree copy; rsync -aXA tree/ other; tar --xattrs --acls -cf a.tar tree; mkdir out
        tar --xattrs --acls -xf a.tar -C out; rm a.tar; setfattr -x user.key tree/big; setfacl -b tree/run.sh
        for each in tree copy other out/tree; do getfattr -d $each/big; getfacl -n $each/run.sh $each/sub; done
    """
    each_bench.compare(script, setup=plant)
    assert "refused: " not in each_bench.refusals_text()


def test_nothing_is_left_behind_but_what_command_made_in_the_workspace(bench: Bench) -> None:
    bench.fresh()
    done = bench.confined(': >"$HOME/left" && : >/tmp/capwrap-left && mkdir -p "$HOME/.config/a" && : >made')
    assert done.status == 0, done.describe()
    assert [path.name for path in bench.work.iterdir()] == ["made"]
    assert not (bench.home / "left").exists()
    assert not (bench.home / ".config").exists()
    assert not Path("/tmp/capwrap-left").exists()
