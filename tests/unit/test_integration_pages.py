"""The pages of docs/integration and the files of examples/ are of one mind, and the README leads to them."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from support.run import REPO

PAGES = sorted((REPO / "docs/integration").glob("*.md"))
EXAMPLES = sorted(path for path in (REPO / "examples").iterdir() if path.is_dir() and path.name != "demo")
QUOTED = re.compile(r"^`(examples/[^`\n]+)`(, executable)?:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BUILT = {"build", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def files(example: Path) -> list[Path]:
    return [path for path in sorted(example.rglob("*")) if path.is_file() and BUILT.isdisjoint(path.parts)]


def test_each_example_has_a_page_and_each_page_an_example() -> None:
    assert [page.stem for page in PAGES] == [example.name for example in EXAMPLES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_quotes_the_files_as_they_are(page: Path) -> None:
    text = page.read_text()
    quoted = QUOTED.findall(text)
    assert quoted, "the page quotes no file"
    assert text.count("\n```") == 2 * len(quoted), "a block that names no file"
    for name, executable, content in quoted:
        assert content == (REPO / name).read_text(), name
        assert bool(executable) == os.access(REPO / name, os.X_OK), name


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_page_names_each_file_of_its_example(example: Path) -> None:
    text = (REPO / f"docs/integration/{example.name}.md").read_text()
    for path in files(example):
        names = {
            path.name,
            str(path.relative_to(example)),
            *(f"{part}`" for part in path.relative_to(example).parts[:1]),
        }
        assert any(name in text for name in names), path


@pytest.mark.parametrize("page", [*PAGES, REPO / "README.md"], ids=lambda page: page.stem)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


def test_the_readme_leads_to_each_page() -> None:
    text = (REPO / "README.md").read_text()
    for page in PAGES:
        assert f"](docs/integration/{page.name})" in text, page.name
