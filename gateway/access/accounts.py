"""The live API keys: looked up in memory on the request path, admitted and refused there."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.access.api_keys import ApiKey
from gateway.access.budgets import Spending
from gateway.access.limits import KeyLimiter, Limits
from gateway.routing.observation import Event, Observation
from relay_mining import Address


@dataclass(slots=True)
class Account:
    """What the request path knows of a key."""

    key_id: str
    application: Address = b""
    in_flight_max: int = 0
    in_flight: int = 0
    expires_at: int | None = None
    """Unix seconds."""
    models: frozenset[str] | None = None
    """The only ones it may use; None is any."""
    limiter: KeyLimiter | None = None
    """None where there is nothing to limit."""


@dataclass(slots=True)
class Accounts:
    """The keys that are not revoked, by their digest; their counts survive a reload."""

    spending: defaultdict[str, Spending] = field(default_factory=lambda: defaultdict(Spending))
    """By key id; whoever keeps the ledger charges it."""
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    is_current: bool = True
    """Whether the table could be read when it was last looked at."""
    _by_digest: dict[bytes, Account] = field(default_factory=dict)
    _by_id: dict[str, Account] = field(default_factory=dict)

    def find(self, key: bytes) -> Account | None:
        """The account of a key as the client sent it; None where it is unknown or revoked."""
        return self._by_digest.get(hashlib.sha256(key).digest())

    def get(self, key_id: str) -> Account | None:
        """The account of a key's id; None where it is unknown or revoked."""
        return self._by_id.get(key_id)

    def observe(self, event: Event) -> None:
        """Count the tokens that a try used, where its key's tokens are limited."""
        account = self._by_id.get(event.key_id)
        if account is None or account.limiter is None or not isinstance(event, Observation):
            return
        account.limiter.used += event.input_tokens + event.output_tokens

    def load(self, rows: Sequence[ApiKey]) -> None:
        """Replace the keys by those of the table."""
        live = [row for row in rows if row.revoked_at is None]
        by_id = {row.id: self._by_id.get(row.id) or Account(row.id) for row in live}
        for row in live:
            self._set(by_id[row.id], row)
        self._by_digest = {bytes.fromhex(row.sha256): by_id[row.id] for row in live}
        self._by_id = by_id

    def _set(self, account: Account, row: ApiKey) -> None:
        account.application = bytes.fromhex(row.application[2:])
        account.in_flight_max = row.in_flight_max
        account.expires_at = row.expires_at
        account.models = None if row.models is None else frozenset(row.models)
        limits = Limits(
            row.requests_per_minute, row.tokens_per_minute, row.daily_budget, row.monthly_budget
        )
        if limits == Limits():
            account.limiter = None
            return
        if account.limiter is None:
            account.limiter = KeyLimiter(self.spending[row.id])
        account.limiter.set(limits, self.monotonic_ns())

    @property
    def applications(self) -> frozenset[Address]:
        """Everyone who pays for some key."""
        return frozenset(each.application for each in self._by_id.values())
