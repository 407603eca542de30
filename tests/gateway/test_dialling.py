"""Suppliers that dial in: who is let in, what is served over a line, and who is not believed."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.dialling import DIAL_PATH
from node.http import UpgradeRefused
from relay_mining import DIAL_PROOF_BYTES, Signer, Status, keccak
from tests.factories import an_address
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, TIMEOUTS
from tests.gateway.porch import HI, NUMBER, a_dialling, a_porch
from tests.node.loops import until

pytestmark = pytest.mark.anyio


async def test_plain_streamed_and_receipted_over_a_line(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        await porch.serve(fake, 2)
        answer = await porch.ask()
        text = "".join(
            [c.choices[0].delta.content or "" async for c in await porch.ask(stream=True)]
        )
        await porch.gateway.settled()

        assert answer.choices[0].message.content == text == "Hello, world"
        assert porch.gateway.results == ["ok", "ok"]
        assert len(fake.receipts) == 2
        assert porch.outcomes == ["taken", "taken"]


async def test_a_client_that_leaves_is_receipted_up_to_where_it_left(tmp_path: Path) -> None:
    fake = a_dialling(pause=asyncio.Event())
    async with a_porch(tmp_path, [fake]) as porch:
        await porch.serve(fake, 2)
        async with porch.gateway.client() as client:
            stream = await client.chat.completions.create(model=MODEL, messages=HI, stream=True)
            await anext(aiter(stream))
            await stream.close()
            await until(lambda: porch.gateway.results)
            await porch.gateway.settled()
        (response,) = fake.responses.values()

        assert porch.gateway.results == ["client_abort"]
        assert response.status is Status.CLIENT_ABORT
        assert len(fake.receipts) == 1


async def test_both_kinds_are_balanced_alike(tmp_path: Path) -> None:
    fakes = [a_dialling(), FakeSupplier("listens")]
    async with a_porch(tmp_path, fakes) as porch:
        await porch.serve(fakes[0], 2)
        for _ in range(40):
            await porch.ask()

        assert sum(each.served for each in fakes) == 40
        assert min(each.served for each in fakes) >= 8  # chosen by lot while nobody is busy


async def test_who_has_no_line_is_not_asked_and_not_blamed(tmp_path: Path) -> None:
    fakes = [a_dialling(), FakeSupplier("listens")]
    async with a_porch(tmp_path, fakes) as porch:
        for _ in range(8):
            await porch.ask()
        assert porch.gateway.results == ["ok"] * 8
        assert porch.gateway.standing.of(fakes[0].supplier).faults == 0

    async with a_porch(tmp_path / "alone", [a_dialling()]) as porch:
        with pytest.raises(openai.InternalServerError) as caught:
            await porch.ask()
        assert caught.value.code == "no_supplier_available"


async def test_a_supplier_that_comes_back_is_asked_at_once(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        server = await porch.serve(fake)
        await porch.ask()
        await server.close(0)
        await until(lambda: not porch.gateway.lines.total)
        with pytest.raises(openai.InternalServerError):
            await porch.ask()
        await porch.serve(fake)
        assert (await porch.ask()).choices


@pytest.mark.parametrize("lie", ["reset", "500", "hang", "unsigned", "signature", "flood"])
async def test_a_line_is_as_hostile_as_any_connection(tmp_path: Path, lie: str) -> None:
    bad, good = a_dialling("bad", lie), FakeSupplier("good")
    async with a_porch(tmp_path, [bad, good]) as porch:
        await porch.serve(bad, 2)
        while not bad.served:
            porch.gateway.standing.states.clear()
            assert (await porch.ask()).choices[0].message.content == "Hello, world"
        assert not bad.receipts


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"\x00\x01garbage\r\n\r\n", "broken"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", "timeout"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}" * 2, "invalid"),
    ],
)
async def test_garbage_half_and_two_answers(tmp_path: Path, answer: bytes, result: str) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        line = await porch.dial(fake)
        asked = asyncio.ensure_future(porch.ask())
        await line.read(4)
        line.transport.write(answer)
        with pytest.raises(openai.InternalServerError):
            await asked
        assert porch.gateway.results == [result]
        await until(lambda: not porch.gateway.lines.total)


async def test_who_is_proved_and_stalls_costs_one_deadline_each(tmp_path: Path) -> None:
    fake, good = a_dialling(), FakeSupplier("good")
    async with a_porch(tmp_path, [fake, good]) as porch:
        await porch.dial(fake)
        while "timeout" not in porch.gateway.results:
            porch.gateway.standing.states.clear()
            assert (await porch.ask()).choices
        assert TIMEOUTS.first_byte < 1
        assert porch.gateway.lines.total == 0  # a line that missed a deadline carries nothing more


async def test_a_recorded_handshake_opens_nothing(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        first, shake = await porch.knock(fake)
        recorded = shake.sign_dial(fake.signer)
        first.transport.write(recorded)
        await first.read(DIAL_PROOF_BYTES)
        again, _ = await porch.knock(fake)  # the same offer, nonce and all
        again.transport.write(recorded)
        with pytest.raises(Exception, match="closed"):
            await again.read(1)

        assert porch.outcomes == ["taken", "wrong_key"]
        assert porch.gateway.lines.total == 1


@pytest.mark.parametrize(
    "proof", [bytes(65), b"\xff" * 65, b"x" * 66, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 3]
)
async def test_a_proof_that_is_none_opens_nothing(tmp_path: Path, proof: bytes) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        upgraded, _ = await porch.knock(fake)
        upgraded.transport.write(proof)
        with pytest.raises(Exception, match="closed"):
            await upgraded.read(1)
        assert porch.outcomes == ["wrong_key"]


async def test_nobody_takes_anothers_place(tmp_path: Path) -> None:
    victim, thief = a_dialling("victim"), a_dialling("thief")
    async with a_porch(tmp_path, [victim, thief]) as porch:
        upgraded, shake = await porch.knock(victim)
        upgraded.transport.write(shake.sign_dial(thief.signer))
        with pytest.raises(Exception, match="closed"):
            await upgraded.read(1)
        await porch.dial(thief)

        assert porch.gateway.lines.names == (thief.supplier.hex(),)
        assert porch.outcomes == ["wrong_key", "taken"]


async def test_a_proof_behind_its_own_bytes_is_no_proof(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        upgraded, shake = await porch.knock(fake)
        proof = shake.sign_dial(fake.signer)
        upgraded.transport.write(proof[:30])
        await asyncio.sleep(0)
        upgraded.transport.write(proof[30:] + b"HTTP/1.1 200 OK\r\n")
        with pytest.raises(Exception, match="closed"):
            await upgraded.read(1)
        assert not porch.gateway.lines.total


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({"gateway": an_address("another")}, 403, "this is the gateway"),
        ({"session": NUMBER + 2}, 403, "session 7 is running"),
        ({"session": NUMBER - 2}, 403, "session 7 is running"),
        ({"supplier": an_address("stranger")}, 403, "in no roster"),
    ],
)
async def test_who_has_no_business_here_is_told_why(
    tmp_path: Path, changes: dict[str, Any], status: int, says: str
) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        with pytest.raises(UpgradeRefused) as refused:
            await porch.knock(fake, **changes)
        assert refused.value.status == status
        assert says.encode() in refused.value.body
        assert porch.outcomes == ["dial_refused"]


async def test_sessions_one_apart_are_taken(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        for number in (NUMBER - 1, NUMBER + 1):
            await porch.knock(fake, session=number)
        assert not porch.outcomes


async def test_a_gateway_without_a_chain_or_a_session_says_come_again(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        porch.sessions.is_away = True
        with pytest.raises(UpgradeRefused, match="503"):
            await porch.knock(fake)
        porch.sessions.number = -1
        with pytest.raises(UpgradeRefused, match="503"):
            await porch.knock(fake)
        assert porch.outcomes == ["dial_busy"] * 2


async def test_who_registered_a_url_is_not_taken_on_a_line(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        porch.sessions.listening.add(fake.supplier)
        with pytest.raises(UpgradeRefused, match="403"):
            await porch.knock(fake)


@pytest.mark.parametrize("header", [b"", b"AAAA", os.urandom(200).hex().encode()])
async def test_an_offer_that_is_none_is_refused(tmp_path: Path, header: bytes) -> None:
    async with a_porch(tmp_path, [a_dialling()]) as porch, httpx.AsyncClient() as client:
        url = porch.gateway.url + DIAL_PATH.decode()
        switch = {"connection": "upgrade", "upgrade": "lode-dial", "lode-dial": header.decode()}
        assert (await client.get(url, headers=switch)).status_code == 400
        assert (await client.get(url)).status_code == 400
        assert (await client.post(url)).status_code == 405


async def test_a_flood_of_strangers_is_bounded_and_keeps_nobody_out(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake], waiting_max=4) as porch:
        flood = [(await porch.knock(fake))[0] for _ in range(12)]
        assert porch.outcomes == ["crowded_out"] * 8
        for each in flood[:8]:
            with pytest.raises(Exception, match="closed"):
                await each.read(1)
        await porch.serve(fake)
        assert (await porch.ask()).choices


async def test_who_never_proves_itself_is_hung_up_on(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake], wait_s=0.05) as porch:
        upgraded, shake = await porch.knock(fake)
        upgraded.transport.write(shake.sign_dial(fake.signer)[:-1])
        with pytest.raises(Exception, match="closed"):
            await upgraded.read(1)
        assert porch.outcomes == ["timed_out"]


async def test_a_supplier_has_no_more_lines_than_it_may(tmp_path: Path) -> None:
    fake = a_dialling()
    async with a_porch(tmp_path, [fake]) as porch:
        rules = porch.gateway.lines.rules
        porch.gateway.lines.rules = replace(rules, lines_per_name_max=2)
        late, shake = await porch.knock(fake)
        await porch.serve(fake, 2)
        late.transport.write(shake.sign_dial(fake.signer))
        with pytest.raises(Exception, match="closed"):
            await late.read(1)
        with pytest.raises(UpgradeRefused, match="503"):
            await porch.knock(fake)
        assert porch.outcomes == ["taken", "taken", "no_room", "dial_busy"]


async def test_lines_end_with_the_operator_and_the_roster(tmp_path: Path) -> None:
    fake, other = a_dialling(), a_dialling("other")
    async with a_porch(tmp_path, [fake, other]) as porch:
        lines, sessions = porch.gateway.lines, porch.sessions
        await porch.serve(fake)
        await porch.serve(other)
        await porch.keeper.check_holders()
        assert lines.total == 2
        sessions.number += 1
        sessions.operators[fake.supplier] = Signer(keccak(b"the next operator")).address
        sessions.is_away = True
        await porch.keeper.check_holders()
        assert lines.total == 2  # nothing is known
        sessions.is_away = False
        await porch.keeper.check_holders()
        assert lines.names == (other.supplier.hex(),)
        sessions.number += 1
        del sessions.operators[other.supplier]
        await porch.keeper.check_holders()
        assert lines.total == 0


async def test_a_line_carries_no_other_suppliers_answers(tmp_path: Path) -> None:
    """Whoever holds a line of one supplier's signs nothing that counts for another."""
    victim, thief = a_dialling("victim"), a_dialling("thief")
    async with a_porch(tmp_path, [victim, thief]) as porch:
        thief.signer = victim.signer  # answers as the victim, on a line of its own
        porch.sessions.operators[thief.supplier] = victim.signer.address
        await porch.serve(thief, 2)
        with pytest.raises(openai.InternalServerError):
            await porch.ask()
        assert porch.gateway.results == ["invalid"]
        assert not victim.served
