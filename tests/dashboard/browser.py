"""A real Chromium, and a served dashboard in a process of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, Playwright

from localnet.chain import free_port
from localnet.processes import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
AXE = Path(".make/dashboard/node_modules/axe-core/axe.min.js")
RUN_AXE = """async () => (await axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
})).violations.map((each) => [each.id, each.nodes.map((one) => one.html + one.failureSummary)])"""


@dataclass(frozen=True)
class Served:
    """A dashboard: where it is, what opens it, and an API key of its gateway."""

    url: str
    admin_token: str
    api_key: str


@contextmanager
def a_served_show(*flags: str) -> Iterator[Served]:
    """`tests.dashboard.show` as a process."""
    argv = [sys.executable, "-m", "tests.dashboard.show", str(free_port()), *flags]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Served(*process.stdout.readline().split())
        finally:
            process.terminate()


def launch(playwright: Playwright) -> Browser:
    """The machine's Chromium, or Playwright's own where there is none; CHROMIUM names another."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []  # containers run tests as root
    return playwright.chromium.launch(executable_path=found, args=flags)


@dataclass
class Watched:
    """A page, and everything that went wrong on it or was asked of another host."""

    page: Page
    origin: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        page = self.page
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("request", self._see)

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.type}: {message.text}")

    def _see(self, request: Any) -> None:
        if not request.url.startswith(self.origin):
            self.faults.append(f"asked of another host: {request.url}")

    def open(self, path: str) -> Page:
        """Go to a page and wait until it is drawn and live."""
        self.page.goto(self.origin + path)
        self.page.wait_for_selector("main h1")
        self.page.wait_for_selector(".line.up")
        return self.page


def find_violations(page: Page) -> Any:
    """What axe finds wrong; needs a context that passes over the policy, which forbids axe too."""
    page.evaluate((ROOT / AXE).read_text())
    return page.evaluate(RUN_AXE)
