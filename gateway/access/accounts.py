"""The live API keys: looked up in memory on the request path, admitted and refused there."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.access.api_keys import ApiKey
from gateway.access.budgets import Spending
from gateway.access.limits import Limiter, Limits
from gateway.access.projects import Project
from gateway.access.terms import Terms
from gateway.routing.observation import Event, Observation
from relay_mining import Address


@dataclass(slots=True)
class ProjectAccount:
    """What the request path knows of a project."""

    limiter: Limiter
    models: frozenset[str] | None = None
    is_archived: bool = False


@dataclass(slots=True)
class Account:
    """What the request path knows of a key."""

    key_id: str
    application: Address = b""
    in_flight_max: int = 0
    in_flight: int = 0
    held: int = 0
    """Requests with an idempotency key that wait for their answer, their own or another's."""
    expires_at: int | None = None
    """Unix seconds."""
    models: frozenset[str] | None = None
    """The only ones it may use, its project's rule included; None is any."""
    limiter: Limiter | None = None
    """Its own; None where there is nothing to limit."""
    limiters: tuple[Limiter, ...] = ()
    """Its own and its project's, of those that limit."""
    used: int = 0
    """Tokens of tries that have ended since a request last did."""


@dataclass(slots=True)
class Accounts:
    """The keys that are not revoked, by their digest; their counts survive a reload."""

    spending: defaultdict[str, Spending] = field(default_factory=lambda: defaultdict(Spending))
    """By key id; whoever keeps the ledger charges it."""
    monotonic_ns: Callable[[], int] = time.monotonic_ns
    now: Callable[[], float] = time.time
    is_current: bool = True
    """Whether the tables could be read when they were last looked at."""
    read_ns: int = 0
    """When they were last as the keys here say, by `monotonic_ns`."""
    age_ns_max: int | None = None
    """How long after that nobody is let in any more; None is never."""
    _by_digest: dict[bytes, Account] = field(default_factory=dict)
    _by_id: dict[str, Account] = field(default_factory=dict)
    _projects: dict[str, ProjectAccount] = field(default_factory=dict)
    _project_of: dict[str, ProjectAccount] = field(default_factory=dict)
    """By key id, of revoked keys too: what they spent stays spent."""

    @property
    def age_ns(self) -> int:
        """For how long a key may have been revoked without its being known here."""
        return self.monotonic_ns() - self.read_ns

    @property
    def is_too_old(self) -> bool:
        """Whether that is longer than the operator takes upon itself."""
        return self.age_ns_max is not None and self.age_ns > self.age_ns_max

    def find(self, key: bytes) -> Account | None:
        """The account of a key as the client sent it; None where it is unknown or revoked."""
        return self._by_digest.get(hashlib.sha256(key).digest())

    def get(self, key_id: str) -> Account | None:
        """The account of a key's id; None where it is unknown or revoked."""
        return self._by_id.get(key_id)

    def observe(self, event: Event) -> None:
        """Charge a try or a recount to its key's project, and count the tokens that a try used."""
        project = self._project_of.get(event.key_id)
        if project is not None:
            project.limiter.spending.charge(event.cost, int(self.now()))
        account = self._by_id.get(event.key_id)
        if account is not None and account.limiters and isinstance(event, Observation):
            account.used += event.input_tokens + event.output_tokens

    def load(self, rows: Sequence[ApiKey], projects: Sequence[Project] | None = None) -> None:
        """Replace the keys by those of the table, and the projects where they are given."""
        for each in projects or ():
            self._set_project(each)
        for row in rows:
            self._enrol(row)
        live = [row for row in rows if row.revoked_at is None and self._is_open(row)]
        by_id = {row.id: self._by_id.get(row.id) or Account(row.id) for row in live}
        for row in live:
            self._set(by_id[row.id], row)
        self._by_digest = {bytes.fromhex(row.sha256): by_id[row.id] for row in live}
        self._by_id = by_id

    def project_spending(self) -> dict[str, dict[str, int]]:
        """What each project has spent lately, in token base units, each rounded up."""
        now = int(self.now())
        return {
            name: each.limiter.spending.shown(now) for name, each in sorted(self._projects.items())
        }

    def limiters(self) -> Iterator[Limiter]:
        """Of every key that may be used, what it goes by; a project's as often as it has keys."""
        for each in self._by_id.values():
            yield from each.limiters

    @property
    def applications(self) -> frozenset[Address]:
        """Everyone who pays for some key."""
        return frozenset(each.application for each in self._by_id.values())

    def _is_open(self, row: ApiKey) -> bool:
        """Whether a key's project lets it work; one that is not known here does not yet."""
        project = self._project_of.get(row.id)
        return row.project is None if project is None else not project.is_archived

    def _enrol(self, row: ApiKey) -> None:
        """Have a key that is new here count for its project, with all it has spent."""
        project = self._projects.get(row.project or "")
        if project is not None and row.id not in self._project_of:
            self._project_of[row.id] = project
            if row.id in self.spending:
                project.limiter.spending.add(self.spending[row.id], int(self.now()))

    def _set_project(self, row: Project) -> None:
        project = self._projects.get(row.id)
        if project is None:
            project = self._projects[row.id] = ProjectAccount(
                Limiter(Spending(), "project", name=row.id)
            )
        project.models = _read_models(row)
        project.is_archived = row.archived_at is not None
        project.limiter.set(_read_limits(row), self.monotonic_ns())

    def _set(self, account: Account, row: ApiKey) -> None:
        account.application = bytes.fromhex(row.application[2:])
        account.in_flight_max = row.in_flight_max
        account.expires_at = row.expires_at
        account.models = _read_models(row)
        account.limiter = self._limiter(account.limiter, row)
        project = self._project_of.get(row.id)
        if project is not None and project.models is not None:
            mine = account.models
            account.models = project.models if mine is None else mine & project.models
        each = (account.limiter, project.limiter if project is not None else None)
        account.limiters = tuple(one for one in each if one is not None and one.limits != Limits())

    def _limiter(self, before: Limiter | None, row: ApiKey) -> Limiter | None:
        limits = _read_limits(row)
        if limits == Limits():
            return None
        limiter = before or Limiter(self.spending[row.id], name=row.id)
        limiter.set(limits, self.monotonic_ns())
        return limiter


def _read_models(terms: Terms) -> frozenset[str] | None:
    return None if terms.models is None else frozenset(terms.models)


def _read_limits(terms: Terms) -> Limits:
    return Limits(
        terms.requests_per_minute,
        terms.tokens_per_minute,
        terms.daily_budget,
        terms.monthly_budget,
    )
