"""`/v1/edge/plan` and `/v1/edge/infer`: from a device's task to its answer."""

import time
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge import MalformedActivationError, verify_request
from gateway.access.accounts import Account
from gateway.access.admission import verify_scope
from gateway.access.budgets import MILLIONTHS
from gateway.api.openai import Endpoint, OpenAIRequest
from gateway.edge.overhead import RelayOverheads
from gateway.edge.plans import Place, Plan, PlanBook
from gateway.edge.quoting import Quote, quote
from gateway.edge.requests import InferAsk, PlanAsk, as_parameter, read_infer_ask, read_plan_ask
from gateway.edge.rounds import Auctioneer, Wish
from gateway.edge.terms import EdgeTerms
from gateway.errors import (
    InvalidParameterError,
    NoSupplierError,
    OutbidError,
    PlanNotFoundError,
)
from gateway.routing.costs import cost_of
from gateway.routing.dispatch import Answer
from gateway.routing.observation import Began, Event, Observation, Result, fan_out
from gateway.routing.relay import Relay
from gateway.routing.relaying import Call, Relays, read_price_max
from gateway.routing.sessions import Session
from node.http import HeaderList, Response

ANSWER_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class EdgeRules:
    """What the edge allows; times in seconds where not named otherwise."""

    window_s: float = 0.05
    """For which bids are gathered before they are cleared together."""
    plan_s: float = 10.0
    """A granted plan has to be used within."""
    relay_us: int = 20_000
    """The relay's own time, to plan with until it is measured, and at least."""
    users_expected: int = 20
    """Of a round: fixes the auction's base before any bid."""


class EdgePlane:
    """Answers the two edge requests."""

    def __init__(self, relays: Relays, rules: EdgeRules) -> None:
        self._relays = relays
        self._admission = relays.admission
        self._plans = PlanBook(time.monotonic, rules.plan_s)
        self._auctioneer = Auctioneer(rules.window_s, rules.users_expected)
        self._overheads = RelayOverheads(rules.relay_us, time.monotonic)

    async def plan(self, call: Call, path: bytes) -> Answer:
        """The plan of a task and the price of its tail, decided with all who ask at this moment."""
        account = call.account = self._admission.authorize(call.headers)
        ask = read_plan_ask(call.body, self._relays.limits.of_request)
        session, terms = self._find(account, ask.model)
        price_max = read_price_max(call.headers, session)
        relay_us = self._overheads.of((account.application, ask.model)).planned_us
        found = quote(session, terms, ask.task, relay_us, price_max)
        if found.units == 0:
            return self._respond(call, account, _describe(session, terms, found, None))
        if ask.bid < found.cost:
            raise OutbidError(
                f"the tail costs {found.cost} token base units at the suppliers' asks, more than "
                f"the bid of {ask.bid}"
            )
        self._plans.require_room(account.key_id, account.in_flight_max)
        plan = await self._buy(account, session, terms, ask, found)
        return self._respond(call, account, _describe(session, terms, found, plan))

    async def _buy(
        self, account: Account, session: Session, terms: EdgeTerms, ask: PlanAsk, found: Quote
    ) -> Plan:
        """A plan granted by the round; the bid is held against the key's budget meanwhile."""
        place = (account.application, ask.model)
        wish = Wish(found.plan.edge_rate, ask.bid - found.cost)
        grant = await self._admission.let_in(account, found.tokens, ask.bid * MILLIONTHS)
        try:
            won = await self._auctioneer.bid(
                place, wish, lambda: self._measure(place, session, terms)
            )
        finally:
            self._admission.leave(account, grant)
        return self._plans.grant(account.key_id, place, found, won.premium)

    def _measure(self, place: Place, session: Session, terms: EdgeTerms) -> tuple[int, int]:
        """The rate that is free at the session's members, and that of one."""
        standing = self._relays.dispatcher.standing
        members = sum(not standing.is_out(each.supplier) for each in session.members)
        return terms.rate * members - self._plans.taken(place), terms.rate

    async def infer(self, call: Call, path: bytes) -> Answer:
        """The answer of a plan's tail, from whichever member serves it well first."""
        return await self._relays.end(call, self._infer(call))

    async def _infer(self, call: Call) -> Answer:
        account = call.account = self._admission.authorize(call.headers)
        ask = read_infer_ask(call.body, self._relays.limits.of_request)
        call.model = ask.tail.model
        session, terms = self._find(account, ask.tail.model)
        plan = self._plans.find(ask.plan, account.key_id)
        _verify_fits(ask, plan, session, terms)
        self._relays.verify_room()
        cost = plan.quote.units * plan.quote.price_max + plan.premium * MILLIONTHS
        plan.is_used = True  # before anything else has a turn
        try:
            grant = await self._admission.let_in(account, plan.quote.tokens, cost)
            try:
                self._relays.record(Began(call.id, account.key_id, ask.tail.model))
                headers = (*call.answer_headers, *self._admission.headers(account))
                answer = await self._serve(call, _relay(call, session, plan, headers), plan)
                self._plans.end(plan)
                return answer
            finally:
                self._admission.leave(account, grant)
        finally:
            plan.is_used = False  # where nothing was served it may be sent again in its time

    async def _serve(self, call: Call, relay: Relay, plan: Plan) -> Answer:
        """The answer; only the try that gave it tells how long a relay takes."""
        tries: list[Event] = []
        dispatcher = self._relays.dispatcher
        dispatcher = replace(dispatcher, observe=fan_out((dispatcher.observe, tries.append)))
        answer = await dispatcher.answer(relay, call.client)
        last = tries[-1] if tries else None
        if isinstance(last, Observation) and last.result is Result.OK:
            took_us = int(last.latency_s * 1e6)
            self._overheads.of(plan.place).measure(took_us, plan.quote.plan.edge_us)
        return answer

    def _find(self, account: Account, model: str) -> tuple[Session, EdgeTerms]:
        verify_scope(account, model)
        session = self._relays.table.find(account.application, model)
        spec = session.service.spec
        spec.verify_serves(Endpoint.EDGE)
        if spec.edge is None:
            raise NoSupplierError("the service's spec has no network to plan for")
        return session, spec.edge

    def _respond(self, call: Call, account: Account, body: dict[str, Any]) -> Response:
        headers = (*call.answer_headers, *self._admission.headers(account))
        return Response(200, orjson.dumps(body), headers)


def _relay(call: Call, session: Session, plan: Plan, headers: HeaderList) -> Relay:
    """The tail as every member that is asked is sent it: the client's own bytes."""
    request = OpenAIRequest(
        endpoint=Endpoint.EDGE,
        model=call.model,
        is_stream=False,
        wants_usage=True,
        choices=0,
        prompts=1,
        tools=0,
        echoes=False,
        output_tokens_max=plan.quote.use.work_kflop,
        body=call.body,
        additions=b"",
    )
    return Relay(
        id=call.id,
        session=session,
        request=request,
        key_id=call.key_id,
        body=call.body,
        max_units=plan.quote.units,
        answer_bytes_max=ANSWER_BYTES_MAX,
        price_max=plan.quote.price_max,
        headers=headers,
        premium=plan.premium,
    )


def _verify_fits(ask: InferAsk, plan: Plan, session: Session, terms: EdgeTerms) -> None:
    """Refuse what is not the plan's: another model, place, or price, or no activation at all."""
    if plan.place != (session.key.application, ask.tail.model):
        raise InvalidParameterError("the plan is for another model", param="model")
    chosen = plan.quote.plan
    if (ask.tail.way_out, ask.tail.cut) != (chosen.exit, chosen.cut):
        raise InvalidParameterError(
            f"the plan is for exit {chosen.exit}, cut after {chosen.cut} layers", param="cut"
        )
    if all(each.terms.price > plan.quote.price_max for each in session.members):
        raise PlanNotFoundError("a new session has dearer asks: plan again", param="plan")
    try:
        verify_request(terms.network, ask.tail)
    except MalformedActivationError as error:
        raise as_parameter(error) from error


def _describe(
    session: Session, terms: EdgeTerms, found: Quote, plan: Plan | None
) -> dict[str, Any]:
    """A plan as the client sees it; without an id where nothing leaves the device."""
    chosen = found.plan
    return {
        "id": plan.id if plan else None,
        "object": "edge.plan",
        "model": session.service.name,
        "weights_sha256": terms.weights_sha256,
        "exit": chosen.exit,
        "cut": chosen.cut,
        "accuracy_ppm": terms.network.exits[chosen.exit].accuracy_ppm,
        "edge_rate": chosen.edge_rate,
        "latency_us": chosen.latency_us,
        "device_us": chosen.device_us,
        "network_us": chosen.network_us,
        "edge_us": chosen.edge_us,
        "units": found.units,
        "price": found.cost + (plan.premium if plan else 0),
        "premium": plan.premium if plan else 0,
        "offers": _offers(session, found.units) if plan else [],
    }


def _offers(session: Session, units: int) -> list[dict[str, Any]]:
    """What each member would be paid for the tail, the cheapest first."""
    return [
        {
            "supplier": "0x" + each.supplier.hex(),
            "price_per_million_cu": each.terms.price,
            "cost": cost_of(units, each.terms.price),
        }
        for each in sorted(session.members, key=lambda each: each.terms.price)
    ]
