"""The dashboard in a real browser: drawn, live, by keyboard, accessible, and never fooled."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("playwright", reason="make test-dashboard installs it")

from playwright.sync_api import Browser, expect, sync_playwright

from tests.dashboard.browser import (
    Served,
    Watched,
    a_served_show,
    find_violations,
    launch,
)
from tests.dashboard.history import CLOCK
from tests.dashboard.screenshots import AUCTION, HISTORY, SERVICE, SUPPLIER, ask, log_in

pytestmark = pytest.mark.dashboard

PAGES = ("/", "/prices", SERVICE, AUCTION, SUPPLIER, "/application", "/playground")
Look = Callable[..., Watched]
PHONE = {"viewport": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Makes pages; they are closed when the test ends, so that none draws on beside the next."""
    with ExitStack() as stack:

        def open_page(served: Served, **options: Any) -> Watched:
            context = browser.new_context(**options)
            stack.callback(context.close)
            return Watched(context.new_page(), served.url)

        yield open_page


@pytest.fixture(scope="module")
def show() -> Iterator[Served]:
    with a_served_show() as served:
        yield served


@pytest.fixture(scope="module")
def hostile() -> Iterator[Served]:
    with a_served_show("hostile") as served:
        yield served


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_drawn_without_a_fault_or_another_host(
    look: Look, show: Served, path: str
) -> None:
    watched = look(show)
    page = watched.open(path)
    expect(page.locator("h1")).to_have_count(1)
    assert watched.faults == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_a_page_without_scrolling_sideways(
    look: Look, show: Served, path: str
) -> None:
    page = look(show, **PHONE).open(path)
    width = page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= PHONE["viewport"]["width"]


def test_what_happens_is_shown_without_asking(look: Look, show: Served) -> None:
    watched = look(show)
    page = watched.open("/")
    first = page.locator(".feed li").first
    before = (first.inner_text(), page.locator(".ruler").inner_text())
    expect(page.locator(".ruler")).not_to_have_text(before[1])
    expect(page.locator(".feed li").first).not_to_have_text(before[0], timeout=15_000)
    assert watched.faults == []


def test_an_auction_shows_its_orders_and_what_a_bid_would_have_paid(
    look: Look, show: Served
) -> None:
    """The book and the path of the rounds; a bid below every posted price gets nothing."""
    watched = look(show)
    page = watched.open(AUCTION)
    past = HISTORY.rounds.past(HISTORY.sessions // CLOCK.epoch_sessions + 1)
    for name, orders in (("Asks", past.book.asks), ("Bids", past.book.bids)):
        rows = page.get_by_role("table", name=name).locator("tbody tr")
        expect(rows).to_have_count(len(orders))
    expect(page.get_by_role("img", name=re.compile("^Posted price of"))).to_be_visible()
    trial = page.get_by_role("table", name="Past rounds").locator("tbody tr")
    expect(trial.filter(has_text="1 of 1").first).to_be_visible()
    price = page.get_by_role("textbox", name=re.compile("^Bid,"))
    price.fill("0.5")
    expect(trial.filter(has_text="1 of 1")).to_have_count(0)
    expect(trial.filter(has_text="0 of 1").first).to_be_visible()
    price.fill("much")
    expect(page.get_by_role("alert")).to_contain_text("much is no amount")
    expect(price).to_be_focused()
    assert watched.faults == []


def test_the_keyboard_reaches_everything_and_keeps_its_place(look: Look, show: Served) -> None:
    page = look(show).open("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    stake = page.get_by_role("button", name="Stake", exact=True)
    stake.focus()
    page.keyboard.press("Enter")
    expect(stake).to_have_attribute("aria-pressed", "true")
    ruler = page.locator(".ruler").inner_text()
    expect(page.locator(".ruler")).not_to_have_text(ruler)
    expect(stake).to_be_focused()
    find = page.get_by_label("Find")
    find.focus()
    page.keyboard.type("gpu-003")
    expect(page.locator("tbody tr", has_text="gpu-003")).to_be_visible()
    expect(page.locator("tbody tr", has_text="gpu-004")).to_have_count(0)
    expect(find).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement !== document.body")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(look: Look, show: Served, scheme: str) -> None:
    watched = look(show, color_scheme=scheme, bypass_csp=True)
    found = {path: find_violations(watched.open(path)) for path in PAGES}
    log_in(watched, show)
    found["logged in"] = find_violations(watched.page)
    ask(watched, show, "Hello")
    found["a receipt"] = find_violations(watched.page)
    assert {path: each for path, each in found.items() if each} == {}


def test_axe_finds_nothing_on_a_phone(look: Look, show: Served) -> None:
    watched = look(show, bypass_csp=True, **PHONE)
    assert [find_violations(watched.open(path)) for path in PAGES] == [[]] * len(PAGES)


def test_the_theme_that_was_chosen_stays(look: Look, show: Served) -> None:
    page = look(show, color_scheme="light").open("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name=re.compile("Theme")).click()
    page.get_by_role("button", name=re.compile("Theme")).click()
    page.reload()
    page.wait_for_selector("main h1")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_only_the_admin_token_opens_the_application(look: Look, show: Served) -> None:
    watched = look(show)
    page = watched.open("/application")
    expect(page.get_by_text("For the operator")).to_be_visible()
    page.get_by_role("button", name="Log in").last.click()
    page.get_by_label("Admin token").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the admin token")
    page.keyboard.press("Escape")
    log_in(watched, show)
    assert page.evaluate("document.cookie") == ""
    assert show.admin_token not in page.evaluate("JSON.stringify({...localStorage})")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_text("For the operator")).to_be_visible()


def test_a_chat_is_answered_and_its_bytes_are_those_signed(look: Look, show: Served) -> None:
    watched = look(show)
    ask(watched, show, "What is the capital of Japan?")
    page = watched.page
    expect(page.locator(".said").last).to_contain_text("Tokyo is the capital of Japan")
    for verdict in ("These are the bytes it signed", "The gateway counted the same"):
        expect(page.locator(".badge.ok", has_text=verdict)).to_be_visible()
    expect(page.locator(".badge.fault")).to_have_count(0)
    assert show.api_key not in page.evaluate("JSON.stringify({...localStorage}) + location.href")
    assert watched.faults == []


@pytest.mark.parametrize("path", PAGES)
def test_no_name_of_a_stranger_becomes_code(look: Look, hostile: Served, path: str) -> None:
    watched = look(hostile)
    page = watched.open(path)
    assert page.evaluate("window.caught") is None
    assert page.locator("main img, main script, main iframe").count() == 0
    assert page.locator("a[href^='javascript:']").count() == 0
    assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
    assert watched.faults == []


def test_no_prompt_or_answer_becomes_code(look: Look, hostile: Served) -> None:
    watched = look(hostile)
    ask(watched, hostile, "<img src=x onerror=window.caught=1>")
    expect(watched.page.locator(".said").last).to_contain_text("<script>window.caught=1</script>")
    assert watched.page.evaluate("window.caught") is None
    log_in(watched, hostile)
    assert watched.page.evaluate("window.caught") is None
    assert watched.faults == []


def test_the_policy_stops_what_a_page_would_let_through(look: Look, show: Served) -> None:
    """Defence in depth: even a page with a hole runs nothing of a stranger's."""
    page = look(show).open("/")
    stopped = page.evaluate(
        "() => { try { document.body.innerHTML = '<img src=x onerror=window.caught=1>'; }"
        " catch (error) { return error.name; } return ''; }"
    )
    assert stopped == "TypeError"
    assert page.evaluate("window.caught") is None
