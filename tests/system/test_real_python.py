"""Python: virtual environments, pip, and programs that start others."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile

from support.compare import Bench
from support.run import require

PYTHON = "/usr/bin/python3"
"""The system's: what a user's version manager keeps beneath $HOME is not granted."""


def wheel() -> bytes:
    """A wheel with a module and a console script, made by hand, the same bytes each time."""
    info = "greeting-1.0.dist-info"
    files = {
        "greeting.py": b"def main():\n    print('hello from', __name__)\n",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": b"[console_scripts]\ngreet = greeting:main\n",
    }
    lines = []
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(data)}\n")
    files[f"{info}/RECORD"] = "".join([*lines, f"{info}/RECORD,,\n"]).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
    return made.getvalue()


def test_a_virtual_environment_takes_a_local_wheel(each_bench: Bench) -> None:
    require(PYTHON)
    script = f"""
        {PYTHON} -m venv env
        env/bin/pip install --quiet --disable-pip-version-check --no-index --no-compile greeting-1.0-py3-none-any.whl
        env/bin/greet && env/bin/pip list --format=freeze --no-index | grep greeting
        env/bin/python -c 'import sys, greeting; print(sys.prefix, sys.executable, greeting.__file__)'
        env/bin/pip uninstall --quiet --yes greeting; [ ! -e env/bin/greet ]
    """
    # Compiled files hold the time of their source.
    each_bench.compare(script, files={"greeting-1.0-py3-none-any.whl": wheel()}, ignore=("*.pyc",), record=False)


def test_the_summary_names_the_library_of_a_python_that_lies_in_the_home(each_bench: Bench) -> None:
    # As version managers install it, with a virtual environment of it in the current directory.
    prefix = each_bench.home / ".tools/versions/3"
    each_bench.fresh()
    script = f"""
        real=$({PYTHON} -c 'import os, sys; print(os.path.realpath(sys.executable))')
        library=$({PYTHON} -c 'import os; print(os.path.dirname(os.__file__))')
        mkdir -p {prefix}/bin {prefix}/lib; cp $real {prefix}/bin/python; ln -s $library {prefix}/lib/
        {prefix}/bin/python -m venv --without-pip env"""
    made = each_bench.runner.native(["sh", "-euc", script], cwd=each_bench.work, env=each_bench.env)
    assert made.status == 0, made.describe()
    command = ["env/bin/python", "-c", "import sys; print(sys.base_prefix)"]
    refused = each_bench.confined(command, options=())
    lines = refused.stderr.decode().splitlines()
    remedies = [line.partition("allow all of it with: ")[2] for line in lines if "allow all of it" in line]
    assert len(remedies) == 1, refused.describe()
    assert remedies[0].startswith(f"--ro {prefix}/lib/python3.")
    allowed = each_bench.confined(command, options=(*remedies[0].split(), "--fail-on-violation"))
    assert (allowed.status, allowed.text, allowed.stderr) == (0, f"{prefix}\n", b"")


PROGRAM = """\
import concurrent.futures, glob, multiprocessing, os, pathlib, shutil, socket, sqlite3, subprocess, tempfile

def square(n):
    return n * n

if __name__ == "__main__":
    print(os.getcwd(), os.path.realpath("."), os.readlink("/proc/self/cwd"), os.readlink("/proc/self/exe"))
    print(sorted(os.listdir("."))[:3], os.umask(0o22), os.get_terminal_size.__name__, os.cpu_count() > 0)
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryDirectory(dir=".") as directory:
        print(os.path.dirname(file.name), len(os.listdir(directory)))
    with multiprocessing.Manager() as manager:  # its processes meet at a socket in a temporary directory
        shared = manager.dict()
        shared["a"] = 1
        print(dict(shared))
    with multiprocessing.Pool(2) as pool:
        print(pool.map(square, range(10)))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: pathlib.Path(f"t{n}").write_text(str(n)), range(100)))
    print(sum(int(pathlib.Path(name).read_text()) for name in glob.glob("t*[0-9]")))
    print(subprocess.run(["sh", "-c", "echo $0; exit 7", "arg"], capture_output=True))
    print(subprocess.check_output("cat", input=b"through a pipe"))
    a, b = socket.socketpair()
    a.sendall(b"x"); print(b.recv(1))
    with open("fds", "w") as file:
        print(file.fileno(), sorted(int(n) for n in os.listdir("/proc/self/fd"))[:4])
    shutil.make_archive("packed", "gztar", ".", "fds")
    shutil.copytree(".", "copy", ignore=shutil.ignore_patterns("copy", "*.gz"))
    shutil.rmtree("copy"); os.remove("packed.tar.gz")
    from multiprocessing import shared_memory
    block = shared_memory.SharedMemory(create=True, size=100)
    block.buf[0] = 7; print(block.buf[0]); block.close(); block.unlink()
    try:
        open("absent/file")
    except OSError as error:
        print(error)
"""


def test_the_standard_library_works_as_natively(each_bench: Bench) -> None:
    each_bench.compare([PYTHON, "program.py"], files={"program.py": PROGRAM}, ignore=("*.pyc",))
