"""Binary tools: they rewrite files in place, by renames and hard links and temporary names."""

from __future__ import annotations

import pytest
from support.compare import Bench
from support.run import require

SOURCES = {
    "a.c": "int a(void) { return 1; }\n",
    "b.c": "int b(void) { return 2; }\n",
    "m.c": "int a(void);\nint b(void);\nint main(void) { return a() + b() - 3; }\n",
    "script.mri": "create merged.a\naddlib one.a\naddlib two.a\naddmod m.o\nsave\nend\n",
}

BUILD = "for f in a b m; do cc -g -c $f.c -o $f.o; done; ar rcsD one.a a.o; ar rcsD two.a b.o; cc *.o -o prog\n"

SCRIPTS = {
    "strip in place": "strip prog && ./prog && strip --strip-debug a.o && nm a.o",
    "strip of a file with two names": "ln prog other && strip prog && ./prog && ./other",
    "strip keeps mode and times": """
        chmod 751 prog && touch -d @1000000000 prog && strip -p prog && stat -c '%a %Y' prog
    """,
    "objcopy in place": """
        objcopy --only-keep-debug prog prog.debug
        objcopy --strip-debug prog
        objcopy --add-gnu-debuglink=prog.debug prog
        ./prog && readelf -x .gnu_debuglink prog
    """,
    "objcopy of a section": "objcopy -O binary -j .text a.o a.bin && od -An -tx1 a.bin",
    "ar extracts": "mkdir out && cd out && ar x ../one.a && ar xo ../two.a && ls",
    "ar replaces and deletes": "ar rD one.a b.o && ar dD one.a a.o && ar t one.a && ranlib -D one.a",
    "an MRI script": "ar -M <script.mri && ar t merged.a && ranlib -D merged.a && nm -s merged.a",
    "a thin archive": "ar rcTD thin.a a.o b.o && ar t thin.a && cc m.o thin.a -o thin && ./thin",
    "a partial link": "ld -r a.o b.o -o ab.o && cc m.o ab.o -o linked && ./linked",
    "readers": """
        readelf -aW prog | wc -l; objdump -d a.o; size prog; strings -n 8 prog | head -n 3; addr2line -fe a.o 0
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_rewrites_binaries_as_natively(each_bench: Bench, name: str) -> None:
    require("cc", "ar", "strip")
    each_bench.compare(BUILD + SCRIPTS[name], files=SOURCES)
