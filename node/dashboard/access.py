"""Logging in to a dashboard with the admin token: a random session in a cookie no script reads."""

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable

COOKIE = "lode_dashboard"
SESSION_S = 12 * 3600
SESSIONS_MAX = 64
WRONG_MAX = 10
WRONG_S = 60.0
"""So many wrong tokens in such a time, from anywhere, and no more are looked at until it is over;
a session that is open stays open."""


class Access:
    """Who has shown the admin token; without a token nobody gets in."""

    def __init__(self, token: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._token = token
        self._clock = clock
        self._sessions: OrderedDict[str, float] = OrderedDict()
        self._wrong: list[float] = []

    @property
    def is_possible(self) -> bool:
        """Whether there is a token to log in with."""
        return bool(self._token)

    def is_token(self, given: str) -> bool:
        """Whether this is the admin token, in a time that tells nothing of it; else it is counted.

        False for any while too many wrong ones came.
        """
        if self.is_throttled():
            return False
        if self._token and hmac.compare_digest(given.encode(), self._token.encode()):
            return True
        self._wrong.append(self._clock())
        return False

    def is_throttled(self) -> bool:
        """Whether so many wrong tokens came lately that none is looked at."""
        now = self._clock()
        self._wrong = [at for at in self._wrong if at > now - WRONG_S]
        return len(self._wrong) >= WRONG_MAX

    def open(self, given: str) -> str | None:
        """The id of a new session, for the right token; None for a wrong one."""
        if not self.is_token(given):
            return None
        session = secrets.token_urlsafe(32)
        self._sessions[session] = self._clock() + SESSION_S
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return session

    def close(self, session: str) -> None:
        """End a session."""
        self._sessions.pop(session, None)

    def is_open(self, session: str) -> bool:
        """Whether a session is there and not over."""
        return self._sessions.get(session, 0.0) > self._clock()


def set_cookie(session: str, seconds: int = SESSION_S) -> tuple[str, str]:
    """The header that gives a browser its session, or takes it back with 0 seconds."""
    value = f"{COOKIE}={session}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
    return ("set-cookie", value)
