"""The application's side of the dashboard: keys and spending, requests, reconciliation, chats.

What is about requests is for whoever logged in; one's own requests also for whoever shows the key.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.access.api_keys import ApiKey, KeyStore
from gateway.api.catalogue import list_models
from gateway.books.bills import write_bill
from gateway.books.history import History
from gateway.books.ledger import Ledger
from gateway.books.lines import read_request_id
from gateway.dashboard.market_views import Scene
from gateway.dashboard.playground import chat, read_headers
from gateway.dashboard.shapes import show_id
from gateway.dashboard.verdicts import check_request
from gateway.errors import GatewayError, RequestNotFoundError
from gateway.routing.relaying import Relays
from gateway.settlement.outbox import Outbox
from gateway.settlement.reconciling import Comparison, compare
from node.dashboard import Ask, Endpoint, Reply, last_part, reply_json

Json = dict[str, Any]

REQUESTS_SHOWN = 50
REQUESTS_SHOWN_MAX = 200
KEYS_SHOWN = 200
COMPARED_MAX = 60
USAGE = ("requests", "input_tokens", "output_tokens", "units_receipted", "faults")


@dataclass(frozen=True, slots=True)
class Desk:
    """What the endpoints look at; a chat aside, they change none of it."""

    keys: KeyStore
    ledger: Ledger
    history: History
    outbox: Outbox
    relays: Relays
    read_scene: Callable[[], Scene]
    replicas: int = 1
    """Gateways that serve as this one; each knows its own receipts alone."""

    def endpoints(self) -> Mapping[str, Endpoint]:
        """Under `/dashboard/api/`."""
        return {
            "application": Endpoint(self._application, is_closed=True),
            "requests": Endpoint(self._requests, is_closed=True),
            "requests/": Endpoint(self._request),
            "models": Endpoint(self._models),
            "chat": Endpoint(self._chat, method="POST"),
        }

    async def _application(self, ask: Ask) -> Reply:
        rows = await asyncio.to_thread(self.keys.list)
        scene = self.read_scene()
        return reply_json(
            {
                "version": scene.model.version,
                "token": scene.token.show(),
                "keys": [self._show_key(row) for row in rows[:KEYS_SHOWN]],
                "requests": self.ledger.requests.summary(),
                "days": _add_days(self.ledger.totals.show_days()),
                "receipts_waiting": len(self.outbox),
                "replicas": self.replicas,
                "recent": self.history.latest(REQUESTS_SHOWN),
                "compared": [_show_comparison(each) for each in self._compare(scene)],
            }
        )

    async def _requests(self, ask: Ask) -> Reply:
        limit = ask.number("limit", REQUESTS_SHOWN, REQUESTS_SHOWN_MAX)
        return reply_json({"requests": self.history.latest(limit)})

    async def _request(self, ask: Ask) -> Reply:
        try:
            return reply_json(self._tell(ask))
        except GatewayError as error:
            return Reply(error.status, error.body())

    def _tell(self, ask: Ask) -> Json:
        """The story of a request with its bill and the verdicts on it."""
        account = self.relays.admission.authorize(read_headers(ask))
        try:
            request = read_request_id(last_part(ask))
        except ValueError as error:
            raise RequestNotFoundError(str(error)) from error
        story = self.history.find(request, account.key_id)
        if story is None:
            raise RequestNotFoundError("this key has made no such request lately")
        receipts = self.history.receipts(request)
        bill = write_bill(receipts, self.relays.dispatcher.upstream.signer)
        waiting = {each.response_hash for each in receipts if each.response_hash in self.outbox}
        verdicts = check_request(bill, receipts, waiting, self.read_scene().model)
        return {**story, "bill": bill, "verdicts": verdicts}

    async def _models(self, ask: Ask) -> Reply:
        try:
            account = self.relays.admission.authorize(read_headers(ask))
            return Reply(200, list_models(self.relays.table, account))
        except GatewayError as error:
            return Reply(error.status, error.body())

    async def _chat(self, ask: Ask) -> Reply:
        return await chat(self.relays, ask)

    def _show_key(self, row: ApiKey) -> Json:
        usage = self.ledger.totals.keys.get(row.id)
        spent = self.ledger.spending.get(row.id)
        shown: Json = row.model_dump(exclude={"sha256", "daily_budget", "monthly_budget"})
        return {
            **shown,
            "daily_budget": _text(row.daily_budget),
            "monthly_budget": _text(row.monthly_budget),
            "usage": {name: str(getattr(usage, name, 0)) for name in USAGE},
            "spent": {
                name: str(value)
                for name, value in (spent.shown(int(self.ledger.now())) if spent else {}).items()
            },
        }

    def _compare(self, scene: Scene) -> list[Comparison]:
        """Receipts of the requests kept here beside their claims, the newest session first.

        Of the oldest session kept some requests may be gone already, so it is left out. One of
        several replicas compares nothing: claims are of the receipts of all.
        """
        receipts = self.history.all_receipts()
        if not receipts or self.replicas > 1:
            return []
        oldest = min(each.session.number for each in receipts)
        claims = {
            (each.claim.session, each.claim.supplier): each.claim
            for each in (*scene.model.claims.open.values(), *scene.model.claims.settled)
            if each.claim.session.gateway == scene.gateway
        }
        found = compare(receipts, claims, scene.session, after=oldest)
        return list(reversed(found))[:COMPARED_MAX]


def _show_comparison(each: Comparison) -> Json:
    return {
        "session": each.session.number,
        "supplier": show_id(each.supplier),
        "service": show_id(each.session.service),
        "receipts": each.receipts,
        "receipted": str(each.receipted),
        "claimed": _text(each.claimed),
        "value": str(each.value),
        "error_max": str(each.error_max),
        "finding": each.finding.value,
        "is_flagged": each.finding.is_flagged,
    }


def _add_days(days: list[dict[str, Any]]) -> list[Json]:
    """Use by day, over all keys and models; the last 60 days."""
    sums: dict[str, list[int]] = {}
    for each in days:
        day = sums.setdefault(each["day"], [0, 0])
        day[0] += each["requests"]
        day[1] += each["cost"]
    return [
        {"day": day, "requests": requests, "cost_millionths": str(cost)}
        for day, (requests, cost) in sorted(sums.items())[-60:]
    ]


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)
