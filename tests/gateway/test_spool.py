"""What a killed gateway owes: nothing that a client was answered is lost."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settlement.outbox import Outbox, encode_owed, encode_settled
from gateway.settlement.spool import Spool, restore_outbox
from node.append_log import AppendLog
from node.http import serve
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import a_gateway
from tests.gateway.test_receipts import owed

NAMES = ("even.spool", "odd.spool")


@given(st.lists(st.sampled_from("atsc"), max_size=30))
def test_what_is_not_settled_is_replayed(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, Spool(Path(folder)) as spool:
        before: list[bytes] = []
        since: list[bytes] = []
        for number, step in enumerate(steps):
            if step == "a":
                since.append(number.to_bytes(4, "big"))
                spool.add(since[-1])
            elif step == "t":
                before, since = since, before
                spool.turn()
            elif step == "s":
                before = []
                spool.settle()
            else:
                before, since = [], []
                spool.clear()
            assert sorted(spool.replay()) == sorted(before + since)


@pytest.mark.parametrize("damage", ["cut", "flip", "length"])
def test_a_torn_tail_ends_a_file(tmp_path: Path, damage: str) -> None:
    with Spool(tmp_path) as spool:
        spool.add(b"whole")
        spool.add(b"torn")
    path = tmp_path / NAMES[0]
    data = bytearray(path.read_bytes())
    if damage == "cut":
        del data[-1]
    elif damage == "flip":
        data[-1] ^= 1
    else:
        data[13] ^= 0xFF
    path.write_bytes(data)
    with Spool(tmp_path) as spool:
        assert list(spool.replay()) == [b"whole"]


def test_a_full_disk_refuses_a_record_and_hides_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    with Spool(tmp_path) as spool:
        spool.add(b"before")
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:-2]))
        with pytest.raises(OSError, match="No space"):
            spool.add(b"torn")
        monkeypatch.undo()
        spool.add(b"after")
        assert list(spool.replay()) == [b"before", b"after"]


@pytest.mark.anyio
async def test_a_torn_head_is_cleared_at_the_start(tmp_path: Path) -> None:
    (tmp_path / NAMES[0]).write_bytes(b"torn")
    async with AppendLog(tmp_path / "log") as log:
        with Spool(tmp_path) as spool:
            assert await restore_outbox(Outbox(), log, spool) == 0
            spool.add(b"whole")
            assert list(spool.replay()) == [b"whole"]


@pytest.mark.anyio
async def test_the_outbox_is_what_log_and_spool_say_together(tmp_path: Path) -> None:
    first, second, third = (owed(number) for number in range(3))
    async with AppendLog(tmp_path / "log") as log:
        await log.append_many([encode_owed(first), encode_settled(first.response_hash)])
        await log.append(encode_owed(second))
        with Spool(tmp_path) as spool:
            for each in (first, second, third, third):
                spool.add(encode_owed(each))
            outbox = Outbox()
            assert await restore_outbox(outbox, log, spool) == 1
            assert set(outbox) == {second, third}
            assert list(spool.replay()) == []
            again = Outbox()
            assert await restore_outbox(again, log, spool) == 0
            assert set(again) == {second, third}


CHILD = """
import asyncio, sys
from pathlib import Path
import gateway.settlement.settling
from tests.gateway.fakes import FakeSupplier
from tests.gateway.harness import MODEL, a_gateway

gateway.settlement.settling.GATHER_S = 600.0  # nothing reaches the log before the kill

async def main():
    fake = FakeSupplier("honest", part_every=2)
    async with a_gateway(Path(sys.argv[1]), fake, url=sys.argv[2]) as node, node.client() as client:
        while True:
            for stream in (False, True):
                answer = await client.chat.completions.create(
                    model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=stream
                )
                if stream:
                    [chunk async for chunk in answer]
                print("answered", flush=True)

asyncio.run(main())
"""


@pytest.mark.anyio
async def test_kill_9_loses_no_receipt_of_an_answer_that_was_given(tmp_path: Path) -> None:
    fake = FakeSupplier("honest", part_every=2)
    server = await serve(fake.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.port}"
    child = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", CHILD, str(tmp_path), url], stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2], start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    answered = [await asyncio.to_thread(child.stdout.readline) for _ in range(10)]
    os.killpg(child.pid, signal.SIGKILL)  # the recount worker with it
    answered += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    assert not fake.receipts

    async with a_gateway(tmp_path, fake, url=url) as gateway:
        await gateway.settled()
        found = gateway.ledger.requests.summary()
        (spent,) = [each.cost for each in gateway.ledger.totals.keys.values()]
    await server.close(0)
    given = answered.count(b"answered\n")
    assert given >= 10
    assert len(fake.receipts) >= given + given // 2  # every other is a stream of two parts
    assert given <= found["paid"] <= given + 1
    assert found["paid"] + found["failed"] == found["requests"]
    assert spent == 1000 * sum(each.units for each in fake.receipts.values())
