"""Which pages of other origins may call the gateway from a browser."""

import re
from dataclasses import dataclass

from node.http import HeaderList, Headers

ANY = "*"
ALLOWED = b"authorization, content-type, idempotency-key, lode-price-max"
"""What a page may send where it does not say what it wants to."""
ASKED = re.compile(rb"[\w!#$%&'*+.^`|~-]{1,64}(?: ?, ?[\w!#$%&'*+.^`|~-]{1,64}){0,63}")
"""Names of headers, at most 64: official clients send a dozen of their own."""
EXPOSED = (
    b"x-request-id, retry-after, x-should-retry, idempotent-replayed, x-ratelimit-limit-requests, "
    b"x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
    b"x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)


@dataclass(frozen=True, slots=True)
class Cors:
    """The origins that are let in; none is the default, `*` is all."""

    origins: frozenset[str] = frozenset()

    def headers(self, request: Headers) -> HeaderList:
        """What an answer to a page needs; nothing for whoever is no page, or of another origin."""
        if not self.origins:
            return ()
        origin = request.get(b"origin")
        if origin is None or not self._allows(origin):
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"origin"),
        )

    def preflight(self, request: Headers) -> HeaderList:
        """What a browser is told before a page may call: it may send the headers it asks for."""
        allowed = self.headers(request)
        if not allowed:
            return ()
        asked = request.get(b"access-control-request-headers") or ALLOWED
        return (
            *allowed,
            (b"vary", b"access-control-request-headers"),
            (b"access-control-allow-methods", b"GET, POST, DELETE"),
            (b"access-control-allow-headers", asked if ASKED.fullmatch(asked) else ALLOWED),
            (b"access-control-max-age", b"600"),
        )

    def _allows(self, origin: bytes) -> bool:
        return ANY in self.origins or origin.decode("latin-1") in self.origins
