"""git: lock files, renames over, hard links, mmap of packs, and programs that it starts."""

from __future__ import annotations

import pytest
from support.compare import Bench
from support.run import require

ENV = {
    "GIT_AUTHOR_NAME": "A. Tester",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "A. Tester",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
}

# An index holds inode numbers and times; `git ls-files -s` prints what of it means something.
IGNORE = ("*.git/index", "*.git/modules/*/index", "*.git/worktrees/*/index")

BEGIN = """
    git init -q -b main repo && cd repo
    mkdir dir; echo one >a; echo two >dir/b; ln -s a link; printf '#!/bin/sh\\n' >run; chmod +x run
    git add -A && git commit -q -m first
"""

SCRIPTS = {
    "init, add and commit": """
        git ls-files -s; git log --format='%H %s'; git status --porcelain; git cat-file -p HEAD^{tree}
    """,
    "branches and merges": """
        git checkout -q -b topic; echo topic >>a; git commit -qam topic
        git checkout -q main; echo main >dir/b; git commit -qam main
        git merge -q --no-edit topic; git log --graph --format='%h %s'; git branch -d topic; git ls-files -s
    """,
    "a merge conflict": """
        git checkout -q -b topic; echo topic >a; git commit -qam topic; git checkout -q main; echo main >a
        git commit -qam main
        git merge topic || cat a; git checkout --ours a; git add a; git commit -qm merged; git log --format=%H
    """,
    "rebase, stash and reset": """
        git checkout -q -b topic; echo 1 >t; git add t; git commit -qm t; git checkout -q main; echo 2 >m; git add m
        git commit -qm m
        git rebase -q main topic; echo dirty >>a; git stash -q; git status -s; git stash pop -q; git reset -q --hard
        git log --format=%H
    """,
    "gc, fsck and packs": """
        for i in 1 2 3 4 5; do echo $i >>a; git commit -qam $i; done
        git gc -q --prune=now; git fsck --full --strict; git count-objects -v | grep -v size
        git verify-pack .git/objects/pack/*.idx
    """,
    "a local clone, fetch and push": """
        cd ..; git clone -q repo clone; git clone -q --bare repo bare.git; cd clone
        git remote set-url origin $PWD/../bare.git
        echo more >>a; git commit -qam more; git push -q origin main; cd ../repo; git fetch -q ../bare.git main
        git log --format=%H FETCH_HEAD
    """,
    "diff, blame, grep and archive": """
        echo more >>a; git diff; git diff --stat; git commit -qam more; git blame -s a; git grep two
        git archive HEAD | tar -t
    """,
    "a worktree and a hook": """
        printf '#!/bin/sh\\necho hook ran in $(pwd)\\n' >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit
        git worktree add -q ../side -b side; cd ../side; echo s >s; git add s; git commit -qm side
        git -C ../repo worktree list
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_keeps_history_as_natively(each_bench: Bench, name: str) -> None:
    require("git", "tar")
    each_bench.compare(BEGIN + SCRIPTS[name], env=ENV, ignore=IGNORE)
