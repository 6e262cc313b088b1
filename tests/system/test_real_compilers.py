"""Compilers: what gcc and clang make confined is, byte for byte, what they make natively."""

from __future__ import annotations

import pytest
from support.compare import Bench
from support.run import require

SOURCES = {
    "main.c": """\
        #include <stdio.h>
        #include "greet.h"
        int main(int argc, char **argv)
        {
                for (int i = 1; i < argc; i++)
                        greet(argv[i]);
                return printf("%d\\n", total(argc)) < 0;
        }
        """,
    "include/greet.h": "void greet(const char *name);\nint total(int n);\n",
    "src/greet.c": """\
        #include <stdio.h>
        #include <string.h>
        #include "greet.h"
        void greet(const char *name) { printf("hello, %s (%zu)\\n", name, strlen(name)); }
        """,
    "src/total.c": '#include "greet.h"\nint total(int n) { return n > 0 ? n + total(n - 1) : 0; }\n',
}

SCRIPTS = {
    "objects linked into a program": """
        for f in main.c src/greet.c src/total.c; do $CC -O2 -g -Iinclude -MD -c $f -o $(basename $f .c).o; done
        $CC main.o greet.o total.o -o prog && ./prog a b
    """,
    "one command, without intermediate files": "$CC -O2 -Wall -Iinclude main.c src/*.c -o prog && ./prog x",
    "link-time optimisation": """
        for f in main.c src/greet.c src/total.c
        do $CC -O2 -flto -frandom-seed=$f -Iinclude -c $f -o $(basename $f .c).o; done
        $CC -O2 -flto main.o greet.o total.o -o prog && ./prog lto
    """,
    "a static library": """
        for f in src/greet.c src/total.c; do $CC -Iinclude -c $f -o $(basename $f .c).o; done
        ar rcsD libgreet.a greet.o total.o
        $CC -Iinclude main.c -L. -lgreet -o prog && ./prog static
    """,
    "a shared library found by $ORIGIN": """
        mkdir -p bin lib
        $CC -shared -fPIC -Iinclude src/*.c -o lib/libgreet.so -Wl,-soname,libgreet.so
        $CC -Iinclude main.c -Llib -lgreet -Wl,-rpath,'$ORIGIN/../lib' -o bin/prog
        ./bin/prog shared && cd / && "$OLDPWD/bin/prog" elsewhere && cd "$OLDPWD/lib" && ../bin/prog relative
    """,
    "a wholly static program": "$CC -static -Iinclude main.c src/*.c -o prog && ./prog static",
    "preprocessing, assembly and kept intermediates": """
        $CC -E -P -Iinclude main.c -o main.i
        $CC -S -O1 -Iinclude src/total.c -o total.s
        $CC -save-temps -O1 -Iinclude -c src/total.c -o total.o
    """,
    "rebuilding over old outputs": """
        $CC -Iinclude main.c src/*.c -o prog
        $CC -O2 -Iinclude main.c src/*.c -o prog && chmod 700 prog && $CC -Iinclude main.c src/*.c -o prog && ./prog
    """,
}


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_compiles_as_natively(each_bench: Bench, cc: str, name: str) -> None:
    require(cc, "ar")
    each_bench.compare(SCRIPTS[name], files=SOURCES, env={"CC": cc})


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("int main(void) { return undeclared; }", "an undeclared name"),
        ('#include "absent.h"\nint main(void) { return 0; }', "an absent header"),
        ("void lost(void);\nint main(void) { lost(); return 0; }", "an undefined symbol"),
    ],
    ids=lambda value: value if value.startswith("an ") else "",
)
def test_errors_read_as_natively(bench: Bench, cc: str, source: str, wrong: str) -> None:
    require(cc)
    # The linker names its temporary object, which is another one each time.
    script = f"{cc} wrong.c -o wrong 2>err; s=$?; sed -E 's,/tmp/[A-Za-z0-9._-]+,TEMP,' err; rm err; exit $s"
    pair = bench.compare(["/bin/sh", "-c", script], files={"wrong.c": source}, status=1)
    assert pair.native.stdout, f"{wrong} is reported"


def test_a_compiler_finds_a_plugin_and_a_response_file(bench: Bench) -> None:
    require("gcc", "nm")
    files = SOURCES | {"args": "-O2 -flto -frandom-seed=1 -Iinclude -c src/total.c -o total.o\n"}
    bench.compare('gcc @args && nm --plugin "$(gcc -print-file-name=liblto_plugin.so)" total.o', files=files)
