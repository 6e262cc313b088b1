"""What pyproject.toml cannot say: the assembly sources of the engine's module and the C program capwrap-exec.

`pip install .` and `pip install -e .` both carry capwrap-exec in the wheel's scripts directory, so that it ends as a
real binary, not a Python wrapper, in the environment's bin directory.
"""

from __future__ import annotations

import os
import runpy
import shlex
import subprocess
import sysconfig
from distutils.command.build_scripts import build_scripts
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

ENGINE = runpy.run_path(str(Path(__file__).resolve().parent / "capwrap" / "engine" / "build.py"))


class BuildExtension(build_ext):
    """build_ext that hands assembly sources to the C compiler, which preprocesses and assembles them."""

    def build_extensions(self) -> None:
        """Build all extension modules."""
        if ".S" not in self.compiler.src_extensions:
            self.compiler.src_extensions.append(".S")
        super().build_extensions()


class BuildScripts(build_scripts):
    """build_scripts that compiles capwrap-exec instead of copying text."""

    def get_source_files(self) -> list[str]:
        """Nothing: the script is built, its sources are listed in MANIFEST.in."""
        return []

    def copy_scripts(self) -> tuple[list[str], list[str]]:
        """Compile and link capwrap-exec into the directory of built scripts.

        Statically where there is a static libc: no loader runs, and fork has less to copy, a tenth of what a launch
        costs.
        """
        self.mkpath(self.build_dir)
        target = os.path.join(self.build_dir, "capwrap-exec")
        compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
        command = [*compiler, *ENGINE["COMPILE_ARGS"], *shlex.split(os.environ.get("CFLAGS", ""))]
        command += [f"-I{directory}" for directory in ENGINE["INCLUDE_DIRS"]]
        command += ["-o", target, *ENGINE["program_sources"](), *shlex.split(os.environ.get("LDFLAGS", ""))]
        command += ENGINE["LINK_ARGS"]
        self.announce(shlex.join([*command, *ENGINE["STATIC_ARGS"]]), level=2)
        static = subprocess.run([*command, *ENGINE["STATIC_ARGS"]], stderr=subprocess.PIPE, check=False, text=True)
        if static.returncode == 0:
            self.announce(static.stderr, level=2)
        else:
            self.announce(shlex.join(command), level=2)
            subprocess.run(command, check=True)
        return [target], [target]


setup(
    cmdclass={"build_ext": BuildExtension, "build_scripts": BuildScripts},
    cffi_modules=["capwrap/engine/build.py:ffibuilder"],
    scripts=["capwrap-exec"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
