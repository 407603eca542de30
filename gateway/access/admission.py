"""Whether a key's request may run: its scope, its requests in flight, its limits, as errors."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.access.accounts import Account, Accounts
from gateway.access.limits import Bucket, Demand, Grant, Refusal, admit_all
from gateway.access.shared_limits import SharedLimits
from gateway.errors import (
    DatabaseError,
    InvalidKeyError,
    KeyBusyError,
    ModelForbiddenError,
    QuotaExceededError,
    RateLimitedError,
)
from gateway.routing.observation import Event
from node.http import HeaderList, Headers

MS_NS = 10**6
HELD_PER_RUNNING = 2
"""Requests with idempotency keys for each that may run: one sent again waits beside the first."""
Grants = tuple[Grant, ...]
"""What a request holds of each limiter that it goes by."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Lets requests in and takes their leave; a key without limits costs a few comparisons."""

    accounts: Accounts
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    now: Callable[[], float] = time.time
    shared: SharedLimits | None = None
    """Where limits are kept with other replicas."""

    def authorize(self, headers: Headers) -> Account:
        """The account of a request's key; raises InvalidKeyError or DatabaseError."""
        value = headers.get(b"authorization") or b""
        if value[:7].lower() != b"bearer " or len(value) > 256:
            raise InvalidKeyError("send your API key as `Authorization: Bearer lode_sk_...`")
        return self.verify_open(self.accounts.find(value[7:]))

    def verify_open(self, account: Account | None) -> Account:
        """The account of a key that may still be used (else InvalidKeyError).

        Raises DatabaseError for one that is not known while the table of keys cannot be read, and
        for every one where that has lasted too long.
        """
        if self.accounts.is_too_old:
            raise DatabaseError("the table of keys could not be read for too long")
        if account is None and not self.accounts.is_current:
            raise DatabaseError("the table of keys cannot be read now, and this key is not known")
        if account is None:
            raise InvalidKeyError("this API key is unknown or revoked")
        if account.expires_at is not None and self.now() >= account.expires_at:
            raise InvalidKeyError("this API key has expired")
        return account

    async def let_in(self, account: Account, tokens: int, cost: int) -> Grants:
        """As `enter`, but with other replicas where there are some: then it waits for them."""
        if self.shared is None or not account.limiters:
            return self.enter(account, tokens, cost)
        _verify_free(account)
        account.in_flight += 1
        try:
            return _granted(await self.shared.admit(account.limiters, Demand(tokens, cost)))
        except BaseException:
            account.in_flight -= 1
            raise

    def enter(self, account: Account, tokens: int, cost: int) -> Grants:
        """Reserve the most that a request may take; to be given back to `leave`.

        Raises KeyBusyError, RateLimitedError or QuotaExceededError, and then nothing is reserved.
        """
        _verify_free(account)
        grants: Grants = ()
        if account.limiters:
            demand, at_ns = Demand(tokens, cost), self.monotonic_ns()
            grants = _granted(admit_all(account.limiters, demand, at_ns, int(self.now())))
        account.in_flight += 1
        return grants

    def leave(self, account: Account, grants: Grants) -> None:
        """Give back what a request has not used."""
        account.in_flight -= 1
        if not grants:
            return
        used, account.used = account.used, 0
        at_ns = self.monotonic_ns()
        for each in grants:
            each.limiter.release(each, used, at_ns)
        if self.shared is not None:
            self.shared.leave(grants, used)

    @contextmanager
    def hold(self, account: Account) -> Iterator[None]:
        """Count a request that waits for an answer, be it another's (else KeyBusyError)."""
        allowed = HELD_PER_RUNNING * account.in_flight_max
        if account.held >= allowed:
            raise KeyBusyError(f"this key may have {allowed} requests wait for answers to be kept")
        account.held += 1
        try:
            yield
        finally:
            account.held -= 1

    def observe(self, event: Event) -> None:
        """Have other replicas hear of what was charged."""
        account = self.accounts.get(event.key_id) if self.shared is not None else None
        if account is not None and self.shared is not None:
            self.shared.note(account.limiters)

    def headers(self, account: Account) -> HeaderList:
        """OpenAI's `x-ratelimit-*` of a key whose rates are limited, as they are now."""
        if not account.limiters:
            return ()
        at_ns = self.monotonic_ns()
        return (
            *_describe(b"requests", [each.requests for each in account.limiters], at_ns),
            *_describe(b"tokens", [each.tokens for each in account.limiters], at_ns),
        )


def _verify_free(account: Account) -> None:
    if account.in_flight >= account.in_flight_max:
        raise KeyBusyError(f"this key may have {account.in_flight_max} requests in flight")


def _granted(decision: Grants | Refusal) -> Grants:
    if isinstance(decision, Refusal):
        kind = QuotaExceededError if decision.limit.is_budget else RateLimitedError
        raise kind(_explain(decision), decision.retry_after_s)
    return decision


def may_use(account: Account, model: str) -> bool:
    """Whether a model is in the key's scope."""
    return account.models is None or model in account.models


def verify_scope(account: Account, model: str) -> None:
    """Raise ModelForbiddenError where the key may not use a model, whether there is one or not."""
    if not may_use(account, model):
        raise ModelForbiddenError(
            f"this key may not use {model[:128]!r}; see /v1/models for what it may", param="model"
        )


def _explain(refusal: Refusal) -> str:
    unit = " token base units" if refusal.limit.is_budget else ""
    text = (
        f"the {refusal.whose}'s {refusal.limit.value} are {refusal.allowed}{unit}, "
        f"and this request may take {refusal.asked}"
    )
    if refusal.retry_after_s is None:
        return text + ": shorten it, lower max_tokens, or ask for a higher limit"
    return text + f"; try again in {refusal.retry_after_s} s"


def _describe(name: bytes, buckets: Sequence[Bucket | None], at_ns: int) -> HeaderList:
    """Of several buckets, the one with the least left."""
    found = [each for each in buckets if each is not None]
    if not found:
        return ()
    for each in found:
        each.drain(at_ns)
    bucket = min(found, key=Bucket.remaining)
    return (
        (b"x-ratelimit-limit-" + name, b"%d" % bucket.limit),
        (b"x-ratelimit-remaining-" + name, b"%d" % bucket.remaining()),
        (b"x-ratelimit-reset-" + name, show_duration(bucket.full_in_ns())),
    )


def show_duration(nanoseconds: int) -> bytes:
    """A duration as OpenAI writes it, rounded up: `0s`, `120ms`, `1.5s`, `6m0s`."""
    ms = -(-nanoseconds // MS_NS)
    if 0 < ms < 1000:
        return b"%dms" % ms
    minutes, ms = divmod(ms, 60_000)
    seconds = b"%d" % (ms // 1000)
    if ms % 1000:
        seconds += (b".%03d" % (ms % 1000)).rstrip(b"0")
    return (b"%dm" % minutes if minutes else b"") + seconds + b"s"
