"""A headless Chromium, used as a reader uses it: keys, clicks, what is shown. It opens files and nothing else."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from support.run import path_of

__all__ = ["Browser", "Keys", "WebElement", "browsing"]

WAIT = 30.0
"""seconds until what a page is to do counts as not done; far above what any of it needs"""


class Browser:
    """One window. Elements are named by CSS selectors."""

    def __init__(self, driver: Chrome) -> None:
        self._driver = driver

    def open(self, page: Path) -> None:
        """Open a file."""
        self.messages()
        self.requests()
        self._driver.get(page.as_uri())

    def one(self, selector: str) -> WebElement:
        """The element; it has to be the only one."""
        (found,) = self.all(selector)
        return found

    def all(self, selector: str) -> list[WebElement]:
        """The elements, in the order of the page."""
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """What the elements show."""
        found: list[str] = self.run(
            "return Array.from(document.querySelectorAll(arguments[0]), (each) => each.innerText.trim())", selector
        )
        return found

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something holds. A failure says what did not come."""
        WebDriverWait(self._driver, WAIT, poll_frequency=0.02).until(lambda _driver: condition(), what)

    def press(self, *keys: str) -> None:
        """Press keys, where the focus is."""
        for key in keys:
            self._driver.switch_to.active_element.send_keys(key)

    def run(self, script: str, *arguments: object) -> Any:
        """Run a script in the page, as the page's own Content-Security-Policy does not bind the driver."""
        return self._driver.execute_script(script, *arguments)

    def command(self, name: str, **parameters: object) -> dict[str, Any]:
        """A command of the Chrome DevTools Protocol."""
        answer: dict[str, Any] = self._driver.execute_cdp_cmd(name, parameters)
        return answer

    def messages(self) -> list[str]:
        """What came on the page's console since the last question: errors, and what a policy forbade."""
        return [entry["message"] for entry in self._driver.get_log("browser")]  # type: ignore[no-untyped-call]

    def requests(self) -> list[str]:
        """What was asked for since the last question, from disk or from elsewhere."""
        entries = (json.loads(entry["message"])["message"] for entry in self._driver.get_log("performance"))  # type: ignore[no-untyped-call]
        return [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def browsing(place: Path) -> Iterator[Browser]:
    """A browser that writes to `place` only."""
    options = ChromeOptions()
    options.binary_location = path_of("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # it does not start as root, and not in a container without user namespaces; the pages are ours
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        "--force-prefers-reduced-motion",  # else a click comes while what is clicked is still on its way
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={place / 'profile'}",
        "--window-size=1200,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    environ = os.environ | {"HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_CACHE_HOME": str(place)}
    driver = Chrome(options=options, service=ChromeService(path_of("chromedriver"), env=environ))
    try:
        driver.set_script_timeout(WAIT)
        driver.set_page_load_timeout(WAIT)
        yield Browser(driver)
    finally:
        driver.quit()
