"""One dashboard: pages, files, JSON endpoints, the live stream, logging in.

Everything under `/dashboard/api/` is read-only but logging in and out and what a node adds; what
changes anything needs the header `x-lode-dashboard`, which a page of another origin cannot send.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from urllib.parse import unquote

import orjson

from node.dashboard.access import COOKIE, Access, set_cookie
from node.dashboard.assets import Asset, Assets
from node.dashboard.exchange import Ask, Reply, reply_error, reply_json
from node.dashboard.feed import Feed

API = "/dashboard/api"
GUARD = "x-lode-dashboard"
HTML = "text/html; charset=utf-8"
REVALIDATE = ("cache-control", "no-cache")

Answer = Callable[[Ask], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page and the module that draws it; behind a path that ends with / comes an id."""

    path: str
    title: str
    module: str

    @property
    def takes_id(self) -> bool:
        """Whether an id comes behind its path."""
        return self.path != "/" and self.path.endswith("/")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One JSON endpoint under `/dashboard/api/`."""

    answer: Answer
    method: str = "GET"
    is_closed: bool = False
    """Whether it needs a login."""


@dataclass(frozen=True, slots=True)
class Site:
    """Answers everything of one dashboard; None where a path is not of it."""

    name: str
    pages: tuple[Page, ...]
    assets: Assets
    feed: Feed
    access: Access
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """By the path behind `/dashboard/api/`; one that ends with / takes an id after it."""

    async def answer(self, ask: Ask) -> Reply | None:
        """The reply to a request."""
        if ask.path.startswith(API + "/"):
            return await self._api(ask, ask.path[len(API) + 1 :])
        page = self._page(ask.path)
        asset = self.assets.find(ask.path)
        if page is None and asset is None:
            return None
        if ask.method not in ("GET", "HEAD"):
            return reply_error(405, "use GET", "method_not_allowed")
        if page is not None:
            return Reply(200, self._draw(page), HTML, (REVALIDATE,))
        return _file(asset, ask) if asset is not None else None

    def is_logged_in(self, ask: Ask) -> bool:
        """Whether whoever asks has an open session, or shows the admin token itself."""
        if self.access.is_open(ask.cookie(COOKIE)):
            return True
        kind, _, token = ask.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self.access.is_token(token)

    def _page(self, path: str) -> Page | None:
        for page in self.pages:
            if path == page.path or (page.takes_id and path.startswith(page.path)):
                return page
        return None

    def _draw(self, page: Page) -> bytes:
        return (
            "<!doctype html>\n"
            '<html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(page.title)} · {escape(self.name)}</title>"
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            '<link rel="icon" href="/assets/shared/mark.svg">'
            '<link rel="stylesheet" href="/assets/shared/style.css">'
            '<script src="/assets/shared/theme.js"></script>'
            f'<script type="module" src="{escape(page.module)}"></script>'
            "</head><body><noscript>This page is drawn by JavaScript served from here; the same "
            f"figures are JSON under {API}/.</noscript></body></html>\n"
        ).encode()

    async def _api(self, ask: Ask, name: str) -> Reply:
        if ask.method == "POST" and GUARD not in ask.headers:
            return reply_error(403, f"send the header {GUARD}", "forbidden")
        own = _OWN.get((ask.method, name))
        if own is not None:
            return own(self, ask)
        endpoint = self._endpoint(name)
        if endpoint is None:
            return reply_error(404, "no such part of the dashboard", "unknown_url")
        if ask.method != endpoint.method:
            return reply_error(405, f"use {endpoint.method}", "method_not_allowed")
        if endpoint.is_closed and not self.is_logged_in(ask):
            return reply_error(401, "log in with the admin token", "invalid_api_key")
        return await endpoint.answer(ask)

    def _endpoint(self, name: str) -> Endpoint | None:
        found = self.endpoints.get(name)
        if found is not None:
            return found
        head, slash, rest = name.partition("/")
        return self.endpoints.get(head + slash) if rest else None

    def _stream(self, ask: Ask) -> Reply:
        if self.feed.is_full:
            return reply_error(503, "too many follow already", "busy")
        return Reply(200, content_type="text/event-stream", stream=self.feed.follow())

    def _who(self, ask: Ask) -> Reply:
        return reply_json(
            {"logged_in": self.is_logged_in(ask), "can_log_in": self.access.is_possible}
        )

    def _log_in(self, ask: Ask) -> Reply:
        if not self.access.is_possible:
            return reply_error(403, "no admin token is set, so nobody can log in", "forbidden")
        if self.access.is_throttled():
            return reply_error(429, "too many wrong tokens; wait a minute", "rate_limit_exceeded")
        session = self.access.open(_read_token(ask.body))
        if session is None:
            return reply_error(401, "that is not the admin token", "invalid_api_key")
        return Reply(200, b'{"logged_in":true}', headers=(set_cookie(session),))

    def _log_out(self, ask: Ask) -> Reply:
        self.access.close(ask.cookie(COOKIE))
        return Reply(200, b'{"logged_in":false}', headers=(set_cookie("", 0),))


_OWN: dict[tuple[str, str], Callable[[Site, Ask], Reply]] = {
    ("GET", "stream"): Site._stream,
    ("GET", "me"): Site._who,
    ("POST", "login"): Site._log_in,
    ("POST", "logout"): Site._log_out,
}


def last_part(ask: Ask) -> str:
    """The id at the end of a path."""
    return unquote(ask.path.rsplit("/", 1)[1])


def _read_token(body: bytes) -> str:
    try:
        given = orjson.loads(body)["token"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return given if isinstance(given, str) else ""


def _file(asset: Asset, ask: Ask) -> Reply:
    headers = (("etag", asset.etag), REVALIDATE)
    if ask.headers.get("if-none-match") == asset.etag:
        return Reply(304, b"", asset.content_type, headers)
    return Reply(200, asset.body, asset.content_type, headers)
