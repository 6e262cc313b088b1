"""report's page in a real browser: a real run, a hostile record, 100,000 accesses; by mouse, keys and what is shown."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser, Keys, browsing
from support.large import LINES, write_large
from support.run import path_of, tool

PROBE = """
#include <fcntl.h>
__attribute__((noinline)) int read_secret(void) { return open("/etc/shadow", O_RDONLY); }
int main(void) { return read_secret() + 1; }
"""
SCRIPT = "cat a.txt d/b.txt >out.txt; mkdir d/e; ./probe; cat none.txt; exit 3"
NASTY = "/</script><script>window.ran=1</script><img src=x onerror=window.ran=1><b>\x1b[2J\u202egpj.exe"
MANY = 100_000
NODES_MAX = 8_000
"""elements of a page, however long its lists are: some lists of 100 or 200 rows, each of some ten elements"""


def report(record: Path, *options: str, cwd: Path) -> Path:
    page = record.with_suffix(".html")
    command: list[str | Path] = [tool("capwrap"), "report", *options, "-o", page, record]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return page


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture(scope="module")
def browser(place: Path) -> Iterator[Browser]:
    with browsing(place / "browser") as made:
        yield made


@pytest.fixture(scope="module")
def real(session_root: Path) -> Path:
    """The page of a real run, with its policy."""
    work = Path(tempfile.mkdtemp(prefix="report", dir=session_root))
    (work / "d").mkdir()
    (work / "unused").mkdir()
    (work / "a.txt").write_text("a")
    (work / "d/b.txt").write_text("b")
    (work / "probe.c").write_text(PROBE)
    subprocess.run([path_of("cc"), "-g", "-o", "probe", "probe.c"], cwd=work, check=True)
    policy = ("--profile", "workspace", "--ro", f"{work}/unused=/srv/unused")
    record = work.with_suffix(".ndjson")
    command: list[str | Path] = [tool("capwrap"), "run", "-q", *policy, "--events", record, "--", "sh", "-c", SCRIPT]
    assert subprocess.run(command, cwd=work, capture_output=True, check=False).returncode == 3
    return report(record, *policy, cwd=work)


@pytest.fixture
def shown(browser: Browser, real: Path) -> Browser:
    browser.open(real)
    return browser


def written(path: Path, lines: list[dict[str, Any]]) -> Path:
    head = {"type": "run", "v": 1, "argv": ["make"], "time": 1e9, "policy": "sha256:0", "method": "ptrace", "jail": {}}
    end = {"type": "end", "status": 0, "signal": None, "complete": True}
    path.write_text("".join(json.dumps(line) + "\n" for line in (head, *lines, end)))
    return path


def search(browser: Browser, words: str, *found: str) -> None:
    """Type into the search field, wait until the page has looked, and see that it says that so much was found."""
    browser.run("const field = document.getElementById('words'); field.value = ''; field.focus()")
    browser.press(words or Keys.SPACE)
    # `wanted` is what the page's script looks for; it answers in the same breath
    looked = "return wanted.words.join(' ')"
    browser.until(lambda: browser.run(looked) == words.lower(), f"the page does not look for {words}")
    assert re.search("Found: .*" + ".*".join(found), browser.one("#status").text)


def rows(browser: Browser, section: str) -> list[str]:
    """The rows that the tree of a section shows, each on one line."""
    return [" ".join(text.split()) for text in browser.texts(f"#{section}-body [role=treeitem]")]


def focused(browser: Browser) -> str:
    text: str = browser.run("return document.activeElement.innerText")
    return " ".join(text.split())


def element_count(browser: Browser) -> int:
    count: int = browser.run("return document.querySelectorAll('*').length")
    return count


# What it shows of a real run.


def test_a_refusal_opens_by_the_keyboard_and_has_its_backtrace_and_its_remedy(shown: Browser) -> None:
    (summary,) = shown.all("#refusals-body summary")
    assert re.search(r"/etc/shadow: open(at)?: ENOENT, not granted, by ./probe", summary.text)
    assert "read_secret" not in shown.one("#refusals-body").text
    shown.run("arguments[0].focus()", summary)
    shown.press(Keys.ENTER)
    shown.until(lambda: "read_secret (" in shown.one("#refusals-body").text, "no backtrace was shown")
    frames = shown.texts("#refusals-body ol li")
    assert any(re.search(r"read_secret \(.*probe\.c:3\) in .*/probe\+0x", frame) for frame in frames), frames
    assert shown.one("#refusals-body .remedy").text == "--ro /etc/shadow"


def test_processes_stand_below_who_started_them_with_bars_in_the_order_of_their_time(shown: Browser) -> None:
    items = shown.all("#processes-body [role=treeitem]")
    levels = [item.get_attribute("aria-level") for item in items]
    texts = rows(shown, "processes")
    assert levels == ["1", "2", "2", "2", "2"]
    assert texts[0].split(" process ")[0].endswith(f"sh -c '{SCRIPT}'")
    assert "ended with 3" in texts[0]
    for text, command in zip(
        texts[1:], ("cat a.txt d/b.txt", "mkdir d/e", "./probe refused 1", "cat none.txt"), strict=True
    ):
        assert command in text
    bars = [item.find_element("css selector", "rect").rect for item in items]
    assert [bar["x"] for bar in bars] == sorted(bar["x"] for bar in bars)
    assert bars[0]["width"] > max(bar["width"] for bar in bars[1:])


def test_the_namespace_tells_what_was_done_with_each_name_in_words(shown: Browser, real: Path) -> None:
    work = real.with_suffix("")
    search(shown, f"{work}/", "names")
    texts = {text.split()[1] if text[0] in "▸▾" else text.split()[0]: text for text in rows(shown, "names")}
    assert "read 1" in texts["a.txt"]
    assert "written 1" in texts["out.txt"]
    assert "written 1" in texts["e"]
    assert "executed 1" in texts["probe"]
    assert "failed 1" in texts["none.txt"]
    search(shown, "/etc/shadow", "1 name", "1 refusal")
    assert any("shadow" in text and "refused 1" in text for text in rows(shown, "names"))


def test_a_grant_that_nobody_used_is_told_and_marked_in_the_namespace(shown: Browser) -> None:
    table = shown.texts("#grants-body tbody tr")
    assert table[0].split("\t") == ["/srv/unused", "ro", "the command line"]
    assert re.search(r"\d+ of \d+ grants were used", shown.one("#grants-body").text)
    search(shown, "/srv/unused", "1 name")
    assert any("unused" in text and "grant ro, never used" in text for text in rows(shown, "names"))


def test_the_head_and_the_title_say_what_ran_and_how_it_ended(shown: Browser) -> None:
    assert "ended with 3" in shown.one("#command").text
    assert "1 call refused" in shown.one("#command").text
    assert shown.run("return document.title").startswith("capwrap report: sh -c")
    assert not shown.one("#problems").is_displayed()


# Search, filters and the way from one to the other.


def test_a_search_narrows_every_section_and_its_end_brings_all_back(shown: Browser) -> None:
    status = shown.one("#status").text
    search(shown, "PROBE", "1 refusal, 2 processes")
    assert all("probe" in text for text in shown.texts("#files-body tbody th"))
    assert len(shown.all("#processes-body [role=treeitem]")) == 2  # the shell that started it stays
    assert len(shown.all("#refusals-body summary")) == 1
    search(shown, "no such word", "0 names, 0 refusals, 0 processes, 0 rows of calls")
    assert not shown.all("#calls-body tbody tr")
    assert "Nothing to show." in shown.one("#names-body").text
    search(shown, "", re.escape(status.removeprefix("Found: ")))


def test_all_words_have_to_be_found(shown: Browser) -> None:
    search(shown, "cat b.txt", r"\b2 rows of calls|\b[1-9][0-9]* rows? of calls")
    for text in shown.texts("#calls-body tbody tr"):
        assert "cat" in text
        assert "b.txt" in text


def test_a_filter_leaves_only_names_with_which_that_was_done(shown: Browser) -> None:
    for box in shown.all("#kinds input")[:5]:
        shown.run("arguments[0].focus()", box)
        shown.press(Keys.SPACE)
    shown.run("arguments[0].focus()", shown.all("#kinds input")[6])
    shown.press(Keys.SPACE)
    shown.until(lambda: "Found: 1 name," in shown.one("#status").text, "more than the refused name is found")
    (text,) = rows(shown, "names")[-1:]
    assert re.search(r"shadow refused 1$", text)
    assert shown.texts("#files-body tbody th") == ["/etc/shadow"]
    assert {text.split()[3] for text in shown.texts("#calls-body tbody tr")} >= {"/etc/shadow"}


def test_a_name_leads_to_its_calls_and_back(shown: Browser, real: Path) -> None:
    name = f"{real.with_suffix('')}/a.txt"
    search(shown, "a.txt", "names?")
    before = len(shown.all("#calls-body tbody tr"))
    (link,) = [each for each in shown.all("#files-body tbody th button") if each.text == name]
    shown.run("arguments[0].focus()", link)
    shown.press(Keys.ENTER)
    assert shown.run("return document.activeElement.id") == "calls"
    assert all(name in text for text in shown.texts("#calls-body tbody tr"))
    assert name in shown.one("#chosen").text
    shown.one("#chosen button").click()
    assert len(shown.all("#calls-body tbody tr")) == before
    assert not shown.one("#chosen").is_displayed()


def test_a_process_leads_to_its_calls(shown: Browser) -> None:
    (item,) = [each for each in shown.all("#processes-body [role=treeitem]") if "./probe" in each.text.split("\n")[0]]
    item.click()
    details = shown.one("#processes-body .details")
    assert "ended with 0" in details.text
    details.find_element("css selector", "button").click()
    assert shown.all("#calls-body tbody tr")
    assert all("./probe" in text for text in shown.texts("#calls-body tbody tr td:nth-child(7)"))


def test_a_table_is_put_in_order_by_its_heads(shown: Browser) -> None:
    def read_counts() -> list[int]:
        return [int(text or 0) for text in shown.texts("#files-body tbody td:nth-child(3)")]

    head = shown.one("#files-body thead th:nth-child(3)")
    assert head.get_attribute("aria-sort") == "none"
    shown.run("arguments[0].focus()", head.find_element("css selector", "button"))
    shown.press(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert read_counts() == sorted(read_counts(), reverse=True)
    shown.press(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "ascending"
    assert read_counts() == sorted(read_counts())
    assert len(shown.all("#files-body thead th[aria-sort]:not([aria-sort=none])")) == 1


# The keyboard, the tree pattern.


def test_the_arrows_move_in_a_tree_and_open_it(shown: Browser) -> None:
    def item() -> Any:
        return shown.run("return document.activeElement")

    def stops() -> int:
        return len(shown.all("#names-body [role=treeitem][tabindex='0']"))

    shown.run("arguments[0].focus()", shown.all("#names-body [role=treeitem]")[0])
    assert (item().get_attribute("aria-level"), item().get_attribute("aria-expanded")) == ("1", "true")
    shown.press(Keys.ARROW_LEFT)
    assert item().get_attribute("aria-expanded") == "false"
    closed = len(rows(shown, "names"))
    shown.press(Keys.ARROW_RIGHT)
    assert item().get_attribute("aria-expanded") == "true"
    assert len(rows(shown, "names")) > closed
    shown.press(Keys.ARROW_RIGHT)
    assert (item().get_attribute("aria-level"), item().get_attribute("aria-posinset")) == ("2", "1")
    shown.press(Keys.ARROW_DOWN)
    assert (item().get_attribute("aria-level"), item().get_attribute("aria-posinset")) == ("2", "2")
    shown.press(Keys.ARROW_UP, Keys.ARROW_LEFT)
    assert item().get_attribute("aria-level") == "1"
    shown.press(Keys.END)
    assert focused(shown) == rows(shown, "names")[-1]
    shown.press(Keys.HOME)
    assert focused(shown) == rows(shown, "names")[0]
    shown.press("u")
    assert "usr/" in focused(shown)
    assert stops() == 1
    shown.press(Keys.ENTER)
    assert item().get_attribute("aria-selected") == "true"
    assert "/usr" in shown.one("#names-body .details h3").text


def test_every_control_is_reached_by_tab_and_shows_the_focus(shown: Browser) -> None:
    search(shown, "none.txt", "names?")  # some of each kind suffice
    expected = shown.run(
        """
        document.body.tabIndex = -1;
        document.body.focus();
        window.seen = new Map();
        document.addEventListener('focusin', ({ target }) => seen.set(target, getComputedStyle(target).outlineStyle));
        return Array.from(document.querySelectorAll('a[href], button, input, summary, [tabindex="0"]'))
          .filter((each) => !each.disabled && each.tabIndex >= 0 && each.checkVisibility()).length
        """
    )
    shown.press(Keys.TAB * expected)
    styles = shown.run("return Array.from(seen, ([each, style]) => [each.tagName + each.id, style])")
    assert len(styles) == expected, styles
    assert all(style != "none" for _, style in styles), styles


# Who hears it, and who sees it otherwise.


def test_its_parts_have_names_and_roles_for_a_screen_reader(shown: Browser) -> None:
    shown.one("#refusals-body summary").click()
    shown.all("#names-body [role=treeitem]")[0].click()
    nodes = shown.command("Accessibility.getFullAXTree")["nodes"]
    roles: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            roles.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    for landmark in ("banner", "navigation", "search", "main", "contentinfo"):
        assert len(roles[landmark]) == 1, landmark
    for role in (
        "button",
        "checkbox",
        "searchbox",
        "tree",
        "treeitem",
        "table",
        "columnheader",
        "link",
        "region",
        "heading",
        "rowheader",
    ):
        assert roles[role], role
        assert all(name.strip() for name in roles[role]), role
    assert roles["table"] == [
        "Names by the number of calls on each",
        "Calls in the order of their first time",
        "Grants that no call used",
        "Runs in the records",
    ]
    assert "status" in roles


def test_headings_are_in_order_and_every_reference_leads_somewhere(shown: Browser) -> None:
    levels = [int(heading.tag_name[1]) for heading in shown.all("h1, h2, h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    ids = shown.run("return Array.from(document.querySelectorAll('[id]'), (each) => each.id)")
    assert len(ids) == len(set(ids))
    references = shown.run(
        "return ['aria-labelledby', 'aria-describedby', 'for'].flatMap((name) =>"
        " Array.from(document.querySelectorAll(`[${name}]`), (each) => each.getAttribute(name)))"
        ".concat(Array.from(document.querySelectorAll('a'), (each) => each.getAttribute('href').slice(1)))"
    )
    assert set(references) <= set(ids)
    assert shown.run("return document.documentElement.lang") == "en"


def test_colour_is_never_the_only_sign(shown: Browser) -> None:
    for item in shown.all("#names-body [role=treeitem]"):
        kinds = re.findall(r"strong-(\w+)", item.get_attribute("class") or "")
        for kind in kinds:
            assert {"looked": "looked at"}.get(kind, kind) in item.text


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2 between two colours as getComputedStyle writes them."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_light_and_in_dark(shown: Browser, scheme: str) -> None:
    shown.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    try:
        page, box, *colours = shown.run(
            """
            const colour = (css, name) => {
              const probe = document.body.appendChild(document.createElement('span'));
              probe.style.setProperty(css, `var(--${name})`);
              const found = getComputedStyle(probe).getPropertyValue(css);
              probe.remove();
              return found;
            };
            return [getComputedStyle(document.body).backgroundColor, colour('background-color', 'box'),
              ...arguments[0].map((name) => colour('color', name))]
            """,
            ["text", "dim", "link", "read", "written", "executed", "looked", "failed", "refused", "absent"],
        )
    finally:
        shown.command("Emulation.setEmulatedMedia", features=[])
    assert (contrast(page, "rgb(0, 0, 0)") > 10) == (scheme == "light")
    for colour in colours:
        assert contrast(colour, page) >= 4.5
        assert contrast(colour, box) >= 4.5


def test_nothing_moves_where_less_motion_is_wanted(shown: Browser) -> None:
    moves = "return [getComputedStyle(document.documentElement).scrollBehavior, document.getAnimations().length]"
    for wanted, found in (("no-preference", ["smooth", 0]), ("reduce", ["auto", 0])):
        shown.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": wanted}])
        assert shown.run(moves) == found
    shown.command("Emulation.setEmulatedMedia", features=[])


def test_on_a_phone_nothing_is_wider_than_the_screen_and_nothing_too_small_to_touch(shown: Browser) -> None:
    shown.command("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=3, mobile=True)
    try:
        shown.one("#refusals-body summary").click()
        assert shown.run("return [innerWidth, document.documentElement.scrollWidth]") == [360, 360]
        small = shown.run(
            "return Array.from(document.querySelectorAll('nav a, button:not(.plain), summary, [role=treeitem], label'))"
            ".filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 24)"
            ".map((each) => each.outerHTML)"
        )
        assert small == []  # WCAG 2.2, 2.5.8
        bars = [bar.rect for bar in shown.all("#processes-body .bar")]
        assert len({(bar["x"], bar["width"]) for bar in bars}) == 1  # else their times could not be compared
    finally:
        shown.command("Emulation.clearDeviceMetricsOverride")


# What it does not do.


def test_it_loads_nothing_but_itself_and_offends_no_policy_of_its_own(browser: Browser, real: Path) -> None:
    browser.open(real)
    search(browser, "a.txt", "names?")
    assert browser.requests() == [real.as_uri()]
    assert browser.messages() == []


@pytest.fixture
def hostile(place: Path) -> Path:
    call = {"id": 1, "t": 0.5, "pid": 7, "tid": 7, "syscall": "openat", "path": NASTY}
    denied = {
        "host": NASTY,
        "kind": "not-granted",
        "needs": ["read"],
        "nearest": NASTY,
        "errno": "ENOENT",
        "hint": NASTY,
    }
    frame = {"module": NASTY, "symbol": NASTY, "file": NASTY, "line": 1}
    lines = [
        {"type": "process", "id": 1, "t": 0.1, "event": "start", "pid": 7, "parent": 1},
        {"type": "process", "id": 2, "t": 0.2, "event": "exec", "pid": 7, "argv": [NASTY, NASTY]},
        {"type": "access", **call, "grant": NASTY, "rights": ["read"], "result": 3},
        {"type": "refusal", **call, **denied, "allow": f"--ro {NASTY}", "argv": [NASTY], "stack": [frame]},
    ]
    return report(written(place / "hostile.ndjson", lines), cwd=place)


def test_names_that_are_markup_or_turn_the_text_around_are_shown_and_do_nothing(
    browser: Browser, hostile: Path
) -> None:
    browser.open(hostile)
    browser.one("#refusals-body summary").click()
    browser.until(lambda: browser.all("#refusals-body ol li"), "the refusal does not open")
    for section in ("processes", "names"):
        browser.all(f"#{section}-body [role=treeitem]")[0].click()
    assert browser.run("return window.ran ?? null") is None
    assert browser.all("img, b, script:not([type])")[1:] == []
    text = browser.one("main").text
    assert "<script>window.ran=1</script><img src=x onerror=window.ran=1><b>" in text
    assert "\\x1b[2J\\u202egpj.exe" in text
    assert "\u202e" not in text
    assert browser.messages() == []


def test_what_would_get_into_the_page_as_markup_is_not_executed(browser: Browser, hostile: Path) -> None:
    inside = b"<main "
    attack = b"<script>window.ran=1</script><img src=x onerror='window.ran=1'><main "
    attacked = hostile.read_bytes().replace(inside, attack)
    bare = hostile.with_name("bare.html")
    bare.write_bytes(re.sub(rb"<meta http-equiv=[^>]*>", b"", attacked))
    browser.open(bare)
    assert browser.run("return window.ran") == 1
    hostile.write_bytes(attacked)
    browser.open(hostile)
    browser.until(lambda: browser.all("#refusals-body summary"), "the page's own script did not run")
    assert browser.run("return window.ran ?? null") is None
    assert any("Content Security Policy" in message for message in browser.messages())


def test_a_record_that_was_cut_short_says_so_on_its_page(browser: Browser, hostile: Path) -> None:
    record = hostile.with_name("short.ndjson")
    record.write_bytes(hostile.with_suffix(".ndjson").read_bytes()[:-20])
    browser.open(report(record, cwd=record.parent))
    assert "cut short" in browser.one("#problems").text
    assert browser.all("#refusals-body summary")


# 100,000 accesses.


@pytest.fixture(scope="module")
def large(place: Path) -> Path:
    record = written(place / "large.ndjson", [])
    head, end = record.read_text().splitlines(keepends=True)
    made = '"grant":"/srv","rights":["read"],"result":3'
    with open(record, "w") as file:
        file.write(head)
        for number in range(MANY):
            call = f'"id":{number + 1},"t":{number / 1e4},"pid":{7 + number // 1000},"tid":7,"syscall":"openat"'
            name = f'"path":"/srv/src/{number // 100 % 50}/{number}.h"'
            file.write(f'{{"type":"access",{call},{name},{made}}}\n')
        file.write(end)
    return report(record, cwd=place)


def test_100000_accesses_are_shown_a_page_at_a_time_and_searched_whole(browser: Browser, large: Path) -> None:
    browser.open(large)
    assert f"{MANY:,} rows of calls" in browser.one("#status").text
    assert element_count(browser) < NODES_MAX
    assert "1 to 100 of 100,000 calls" in browser.one("#calls-body").text
    browser.one("#calls-body .pager button:nth-child(2)").click()
    assert browser.texts("#calls-body tbody tr:first-child td:first-child") == ["0.010 s"]
    search(browser, "src/49/99999.h", "1 name, .*1 row of calls")
    assert browser.texts("#calls-body tbody th") == ["/srv/src/49/99999.h"]
    assert "99999.h" in rows(browser, "names")[-1]
    search(browser, ".h", "100,000 names")  # which opens the whole tree
    assert element_count(browser) < NODES_MAX
    browser.run("arguments[0].focus()", browser.all("#names-body [role=treeitem]")[0])
    browser.press(Keys.END)
    assert "9899.h" in focused(browser) or "99.h" in focused(browser)
    assert browser.run("return document.activeElement.getAttribute('aria-setsize')") == "2000"
    assert "in /srv/src/9" in browser.one("#names-body .context").text
    browser.press(Keys.PAGE_UP, Keys.ARROW_UP, Keys.ARROW_DOWN)
    assert browser.run("return document.activeElement.getAttribute('role')") == "treeitem"
    assert element_count(browser) < NODES_MAX
    browser.one("#files-body thead th:first-child button").click()
    assert browser.texts("#files-body tbody tr:first-child th") == ["/srv/src/0/0.h"]
    assert element_count(browser) < NODES_MAX


def test_what_of_a_long_record_is_above_a_bound_is_said_and_the_rest_is_found(browser: Browser, place: Path) -> None:
    browser.open(report(write_large(place / "long.ndjson"), cwd=place))
    assert element_count(browser) < NODES_MAX
    missing = "are in the namespace and not in the list of calls"
    assert (missing in browser.one("#problems").text) == (LINES > 200_000)
    search(browser, "/srv/secret/19951", "1 name, 1 refusal")
    assert rows(browser, "names")[-1].endswith(f"19951 refused {LINES // 20_000}")
    assert element_count(browser) < NODES_MAX
