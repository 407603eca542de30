"""The pictures in docs/dashboard.md: `python -m tests.dashboard.screenshots docs/images`."""

import re
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.dashboard.browser import Served, Watched, a_served_show, launch
from tests.dashboard.history import History

WIDE = {"width": 1200, "height": 760}
PHONE = {"width": 390, "height": 844}
HISTORY = History(auctioned=True)
SUPPLIER = "/suppliers/0x" + HISTORY.supplier(3).hex()
SERVICE = "/prices/0x" + HISTORY.service(1).hex()
AUCTION = "/prices/0x" + HISTORY.rounds.service.hex()


def draw_all(browser: Browser, served: Served, folder: Path) -> None:
    """One file a page."""
    for name, path, scheme, size in (
        ("market", "/", "light", WIDE),
        ("prices", SERVICE, "light", WIDE),
        ("auction", AUCTION, "light", WIDE),
        ("supplier", SUPPLIER, "dark", WIDE),
        ("phone", "/", "dark", PHONE),
    ):
        page = open_page(browser, served, scheme, size).open(path)
        save(page, folder / f"dashboard-{name}.png")
    watched = open_page(browser, served, "light", WIDE)
    log_in(watched, served)
    save(watched.page, folder / "dashboard-application.png")
    watched = open_page(browser, served, "dark", WIDE)
    ask(watched, served, "What is the capital of Japan?")
    save(watched.page, folder / "dashboard-playground.png")


def open_page(browser: Browser, served: Served, scheme: str, size: dict[str, int]) -> Watched:
    """A page in a context of its own."""
    context = browser.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
    return Watched(context.new_page(), served.url)


def log_in(watched: Watched, served: Served) -> None:
    """Show the application to its operator."""
    page = watched.open("/application")
    page.get_by_role("button", name="Log in").last.click()
    page.get_by_label("Admin token").fill(served.admin_token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Reconciliation")).to_be_visible()


def ask(watched: Watched, served: Served, text: str) -> None:
    """Send one message in the playground, and wait for its receipt."""
    page = watched.open("/playground")
    page.get_by_label("API key").fill(served.api_key)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Model")).to_be_enabled()
    page.get_by_label(re.compile("Message")).fill(text)
    page.keyboard.press("Enter")
    expect(page.get_by_text("computed in this page")).to_be_visible()


def save(page: Page, path: Path) -> None:
    """What the window shows, once nothing moves; then the page is closed."""
    page.wait_for_timeout(1_500)
    page.screenshot(path=path)
    page.context.close()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, a_served_show() as served:
        draw_all(launch(playwright), served, target)
