"""Who is chosen: rules by settings, shares of owners, exploration, and budgets of retries."""

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import httpx
import openai
import orjson
import pytest

from gateway.api.body import RequestLimits
from gateway.api.openai import Endpoint, read_request
from gateway.routing.observation import Observation
from gateway.routing.prediction import Predictor
from gateway.routing.relay import Relay
from gateway.routing.router import EXPLORED, Router, RoutingRules
from gateway.routing.sessions import Member, Session
from gateway.routing.standing import WINDOW_OPEN, Standing
from tests.factories import an_address
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway, a_gateway_session

HI = [{"role": "user", "content": "hi"}]
BODY = b'{"model":"tiny","messages":[{"role":"user","content":"%b"}]}'
TIMES = 2_000


def a_session(*owners: str) -> Session:
    session = a_gateway_session([(FakeSupplier(f"s{i}"), "") for i in range(len(owners))])
    members = tuple(
        replace(each, owner=an_address(owner))
        for each, owner in zip(session.members, owners, strict=True)
    )
    return replace(session, members=members)


def a_relay(session: Session, text: bytes = b"hi") -> Relay:
    body = BODY % text
    request = read_request(Endpoint.CHAT, body, RequestLimits())
    return Relay(bytes(16), session, request, "k", body, 100, 1 << 20, 10**9, output_tokens=10)


def a_router(session: Session, rules: RoutingRules) -> Router:
    """A router that knows all members well."""
    standing = Standing(lambda: 0.0)
    for each in session.members:
        standing.of(each.supplier).window = WINDOW_OPEN
    return Router(standing, Predictor(), random.Random(5), rules)


def count(router: Router, session: Session, relay: Relay) -> Counter[Member]:
    return Counter(router.choose(session.members, relay).member for _ in range(TIMES))


def test_an_owner_is_held_to_its_share_however_many_suppliers_it_has() -> None:
    session = a_session("big", "big", "big", "small")
    router = a_router(session, RoutingRules(explore_share=0, owner_share_max=0.5))
    won = count(router, session, a_relay(session))

    assert won[session.members[3]] / TIMES == pytest.approx(0.5, abs=0.03)


def test_an_owner_that_is_alone_gets_everything() -> None:
    session = a_session("one", "one")
    router = a_router(session, RoutingRules(owner_share_max=0.1))

    assert sum(count(router, session, a_relay(session)).values()) == TIMES


def test_a_share_of_the_choices_is_made_blindly() -> None:
    session = a_session("a", "b")
    router = a_router(session, RoutingRules(explore_share=0.1, owner_share_max=1.0))
    busy = session.members[0]
    router.standing.of(busy.supplier).in_flight = 50
    choices = [router.choose(session.members, a_relay(session)) for _ in range(TIMES)]
    explored = [each for each in choices if each.by == EXPLORED]

    # five standard errors of a tenth
    assert len(explored) / TIMES == pytest.approx(0.1, abs=5 * (0.1 * 0.9 / TIMES) ** 0.5)
    assert {each.member for each in explored} == set(session.members)
    assert all(each.member is not busy for each in choices if each.by != EXPLORED)


def test_prompts_that_begin_alike_go_to_the_same_supplier() -> None:
    session = a_session("a", "b", "c")
    router = a_router(session, RoutingRules("prefix", explore_share=0, owner_share_max=1.0))
    found = {
        text: {router.choose(session.members, a_relay(session, text)).member for _ in range(20)}
        for text in (b"%d" % i for i in range(30))
    }

    assert all(len(each) == 1 for each in found.values())
    assert len(set.union(*found.values())) == 3


@pytest.mark.parametrize(
    ("one", "other", "is_alike"),
    [
        ([("user", "q")], [("user", "q"), ("assistant", "a"), ("user", "r")], True),
        ([("system", "s"), ("user", "q")], [("system", "s"), ("user", "q"), ("user", "r")], True),
        ([("system", "s"), ("user", "q")], [("system", "s"), ("user", "r")], False),
        ([("user", "q")], [("user", "r")], False),
    ],
)
def test_a_conversation_keeps_its_head_over_its_turns(
    one: list[tuple[str, str]], other: list[tuple[str, str]], is_alike: bool
) -> None:
    def head(turns: list[tuple[str, str]]) -> bytes:
        messages = [{"role": role, "content": text} for role, text in turns]
        body = orjson.dumps({"model": "m", "messages": messages})
        return read_request(Endpoint.CHAT, body, RequestLimits()).head

    assert (head(one) == head(other)) == is_alike


def test_rules_can_change_while_it_runs() -> None:
    session = a_session("a", "b")
    router = a_router(session, RoutingRules(explore_share=0))
    assert router.choose(session.members, a_relay(session)).by == "power_of_two"
    router.set(RoutingRules("weighted", explore_share=0))

    assert router.choose(session.members, a_relay(session)).by == "weighted"


@pytest.mark.anyio
async def test_without_a_budget_nobody_is_asked_again(tmp_path: Path) -> None:
    fakes = [FakeSupplier("one", "500"), FakeSupplier("two", "500")]
    async with a_gateway(tmp_path, *fakes) as gateway, gateway.client() as client:
        retries = gateway.plane.relays.dispatcher.retries
        retries.left, retries.share, retries.clock = 0.0, 0.0, lambda: 0.0
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model=MODEL, messages=HI)
        assert sum(each.served for each in fakes) == 1
        assert retries.denied == 1


@pytest.mark.anyio
async def test_what_was_predicted_is_in_the_log_and_explained(tmp_path: Path) -> None:
    fakes = [FakeSupplier("one"), FakeSupplier("two")]
    rules = RoutingRules("weighted", explore_share=0)
    async with a_gateway(tmp_path, *fakes, rules=rules) as gateway, gateway.client() as client:
        for _ in range(4):
            answer = await client.chat.completions.with_raw_response.create(
                model=MODEL, messages=HI
            )
        await gateway.settled()
        request = answer.headers["x-request-id"]
        headers = {"authorization": f"Bearer {gateway.key}"}
        async with httpx.AsyncClient(headers=headers) as plain:
            story = (await plain.get(f"{gateway.url}/v1/requests/{request}")).json()
        seen = [each for each in gateway.events if isinstance(each, Observation)]
    (attempt,) = story["tries"]

    assert "drawn by predicted time and price" in attempt["why"]
    assert all(each["predicted_ms"] >= 0 for each in attempt["considered"])
    assert all(each["has_room"] for each in attempt["considered"])
    assert [each.in_flight for each in seen] == [1] * 4
    assert all(each.body_bytes > 40 for each in seen)
