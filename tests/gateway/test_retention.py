"""Old segments go, what is owed stays, and what is kept adds up as before."""

import os
from pathlib import Path

import pytest

from gateway.access.budgets import DAY_S
from gateway.books.ledger import Ledger
from gateway.books.records import read_log
from gateway.books.retention import Retention, name_segment, open_daily
from gateway.settlement.outbox import Outbox, encode_owed, encode_settled, read_owed, read_removed
from node.append_log import AppendLog
from tests.gateway.test_receipts import owed
from tests.gateway.test_recovery import PARTS, a_recount, a_try, restart

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0


def age(path: Path, days: int) -> None:
    os.utime(path, (NOW - days * DAY_S, NOW - days * DAY_S))


async def test_a_day_has_a_segment_and_what_is_owed_outlives_it(tmp_path: Path) -> None:
    first, second, third = (owed(number) for number in range(3))
    async with AppendLog(tmp_path / "receipts") as log:  # as before there was one a day
        await log.append_many([encode_owed(first), encode_owed(second)])
    outbox, clock = Outbox(), [NOW]
    async with (
        open_daily(tmp_path / "receipts", NOW) as receipts,
        open_daily(tmp_path / "usage", NOW) as usage,
    ):
        await receipts.append_many([encode_settled(first.response_hash), encode_owed(third)])
        await usage.append(b"[]")
        outbox.replay(receipts.replay())
        assert set(outbox) == {second, third}
        retention = Retention(receipts, usage, outbox, tmp_path, 35, now=lambda: clock[0])
        age(tmp_path / "receipts" / "main.log", 34)
        await retention.turn()
        assert receipts.segments() == ("main", name_segment(NOW))
        age(tmp_path / "receipts" / "main.log", 36)
        for each in (tmp_path / "receipts", tmp_path / "usage"):
            age(each / (name_segment(NOW) + ".log"), 0)
        clock[0] += DAY_S
        await retention.turn()
        assert receipts.segments() == (name_segment(NOW), name_segment(NOW + DAY_S))
        assert usage.segments() == receipts.segments()
        for each in (tmp_path / "receipts", tmp_path / "usage"):
            age(each / (name_segment(NOW) + ".log"), 40)
        await retention.turn()
        assert receipts.segments() == usage.segments() == (name_segment(NOW + DAY_S),)
        assert read_removed(receipts.replay()) == 7
    again = Outbox()
    again.replay(read_log(tmp_path / "receipts"))
    assert set(again) == {second, third}
    assert set(read_owed(read_log(tmp_path / "receipts")).values()) == {second, third}


async def test_a_debt_does_not_outlive_the_line_of_its_charge(tmp_path: Path) -> None:
    day = name_segment(NOW)
    async with (
        open_daily(tmp_path / "receipts", NOW) as receipts,
        open_daily(tmp_path / "usage", NOW) as usage,
    ):
        await receipts.append_many([encode_owed(each) for each in PARTS])
        ledger = Ledger(usage)
        for event in (a_try(len(PARTS)), a_recount(0, 100), a_recount(1, 100)):
            ledger.observe(event)
        await ledger.flush()
        age(tmp_path / "usage" / f"{day}.log", 36)  # its last request came long before
        age(tmp_path / "receipts" / f"{day}.log", 33)  # its last receipt was settled
        retention = Retention(receipts, usage, Outbox(), tmp_path, 35, now=lambda: NOW + DAY_S)
        await retention.turn()
        again = await restart(usage, list(receipts.replay()))
        assert again.totals == ledger.totals
        assert receipts.segments() == usage.segments() == (day, name_segment(NOW + DAY_S))

        age(tmp_path / "receipts" / f"{day}.log", 36)
        await retention.turn()
        assert receipts.segments() == usage.segments() == (name_segment(NOW + DAY_S),)


async def test_nothing_is_removed_by_a_clock_that_may_be_wrong(tmp_path: Path) -> None:
    clock, is_right, gone = [NOW + 50 * DAY_S], [False], list[int]()
    async with (
        open_daily(tmp_path / "receipts", NOW) as receipts,
        open_daily(tmp_path / "usage", NOW) as usage,
    ):
        for each in ("receipts", "usage"):
            age(tmp_path / each / (name_segment(NOW) + ".log"), 0)
        retention = Retention(
            receipts, usage, Outbox(), tmp_path, 35, gone.append, lambda: is_right[0],
            lambda: clock[0],
        )  # fmt: skip
        await retention.turn()
        assert name_segment(NOW) in receipts.segments()
        assert name_segment(NOW) in usage.segments()
        assert not gone
        is_right[0] = True
        await retention.turn()
        assert receipts.segments() == usage.segments() == (name_segment(clock[0]),)
        assert gone == [(clock[0] - 35 * DAY_S) // DAY_S]


async def test_a_clock_that_goes_back_never_puts_records_before_older_ones(tmp_path: Path) -> None:
    async with open_daily(tmp_path / "usage", NOW) as log:
        await log.append(b"first")
    async with open_daily(tmp_path / "usage", NOW - 3 * DAY_S) as log:
        await log.append(b"second")
        assert list(log.replay()) == [b"first", b"second"]


async def test_use_by_day_goes_back_as_far_as_the_lines_do(tmp_path: Path) -> None:
    kept, clock = 35, [NOW]
    async with (
        open_daily(tmp_path / "receipts", NOW) as receipts,
        open_daily(tmp_path / "usage", NOW) as usage,
    ):
        ledger = Ledger(usage, now=lambda: clock[0])
        retention = Retention(
            receipts, usage, Outbox(), tmp_path, kept, ledger.forget_days, now=lambda: clock[0]
        )
        for day in range(kept + 20):
            clock[0] = NOW + day * DAY_S
            await retention.turn()
            ledger.observe(a_try(1))
            await ledger.flush()
            for log in ("usage", "receipts"):
                os.utime(tmp_path / log / (usage.segment + ".log"), (clock[0], clock[0]))
        assert len(ledger.totals.days) == kept + 1
        again = Ledger(usage)
        again.replay(usage.replay())
        assert again.totals.days == ledger.totals.days


async def test_a_log_tells_of_the_last_session_that_it_had_and_has_not(tmp_path: Path) -> None:
    clock, folder = [NOW], tmp_path / "receipts"
    async with open_daily(folder, NOW) as receipts, open_daily(tmp_path / "usage", NOW) as usage:
        retention = Retention(receipts, usage, Outbox(), tmp_path, 35, now=lambda: clock[0])
        told = []
        for day, sessions in enumerate(((3, 5, 4), (6, 5), (), (8,))):
            clock[0] = NOW + day * DAY_S
            await retention.turn()
            await receipts.append_many([encode_owed(owed(each, session=each)) for each in sessions])
            told.append(read_removed(read_log(folder)))
            os.utime(folder / (receipts.segment + ".log"), (NOW - 40 * DAY_S,) * 2)
        assert told == [-1, 5, 6, 6]
        assert [each.session.number for each in read_owed(read_log(folder)).values()] == [8]
