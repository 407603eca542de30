"""Receipts and claims agree within the sampling error, and what is beyond it is flagged."""

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.books import records
from gateway.cli import app
from gateway.settlement.outbox import OwedReceipt, encode_lowered, encode_owed, encode_removed
from gateway.settlement.reconciling import Finding, Place, compare, sampling_error
from node.append_log import AppendLog
from relay_mining import Claim, Clock, TrieRoot
from tests.clis import CommandLine
from tests.factories import (
    APPLICATION,
    CLOCK,
    GATEWAY,
    GATEWAY_SIGNER,
    SUPPLIER,
    a_hash,
    a_session,
)

TAU = 1000


def an_owed(units: int, number: int = 7) -> OwedReceipt:
    name = f"{units} {number}"
    return OwedReceipt(
        a_session(number=number), GATEWAY_SIGNER.address, SUPPLIER, a_hash(name),
        a_hash("r" + name), a_hash("salt"), units,
    )  # fmt: skip


def a_claim(units: int, number: int = 7) -> Claim:
    root = TrieRoot(bytes(32), units, 1)
    return Claim(SUPPLIER, a_session(number=number), root, units, 1, TAU, 0, 1)


def find(units: list[int], claimed: int | None, now: int = 9) -> Finding:
    claims = {} if claimed is None else {(a_session(), SUPPLIER): a_claim(claimed)}
    (found,) = compare([an_owed(each) for each in units], claims, now)
    assert found.receipted == sum(units)
    return found.finding


@pytest.mark.parametrize(
    ("units", "claimed", "now", "expected"),
    [
        ([5000], 5000, 9, Finding.AGREES),
        ([5000], 5001, 9, Finding.CLAIMED_MORE),
        ([5000], 4999, 9, Finding.CLAIMED_LESS),
        ([5000], None, 8, Finding.OPEN),
        ([5000], None, 9, Finding.UNCLAIMED),
        ([], 1, 9, Finding.CLAIMED_MORE),
        ([10], 1000, 9, Finding.AGREES),
        ([10], 20_000, 9, Finding.CLAIMED_MORE),
        ([500] * 100, 50_000, 9, Finding.AGREES),
    ],
)
def test_findings(units: list[int], claimed: int | None, now: int, expected: Finding) -> None:
    numbered = [each + index for index, each in enumerate(units)]
    shift = sum(numbered) - sum(units)
    claim = None if claimed is None else claimed + shift
    assert find(numbered, claim, now) is expected


def test_every_session_and_supplier_is_compared_once() -> None:
    found = compare([an_owed(5000, 3), an_owed(6000, 4)], {(a_session(number=5), SUPPLIER):
                    a_claim(9, 5)}, 9)  # fmt: skip
    assert [each.session.number for each in found] == [3, 4, 5]
    assert [each.finding for each in found] == [
        Finding.UNCLAIMED, Finding.UNCLAIMED, Finding.CLAIMED_MORE,
    ]  # fmt: skip


def test_sessions_whose_receipts_are_not_all_kept_are_left_out() -> None:
    claims = {(a_session(number=each), SUPPLIER): a_claim(9000, each) for each in (1, 2, 3)}
    found = compare([an_owed(5000, 2), an_owed(9000, 3)], claims, 9, after=2)
    assert [(each.session.number, each.finding) for each in found] == [(3, Finding.AGREES)]


async def write_receipts(folder: Path, *records: bytes) -> Path:
    async with AppendLog(folder / "receipts") as log:
        await log.append_many(records)
    return folder / "receipts"


@pytest.mark.anyio
async def test_replicas_are_compared_together_and_a_copy_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, lowered = an_owed(4000, 8), an_owed(5000, 8), an_owed(6000, 8)
    one = await write_receipts(
        tmp_path / "one", encode_removed(7), encode_owed(first), encode_owed(lowered),
        encode_lowered(lowered.response_hash, 3000),
    )  # fmt: skip
    two = await write_receipts(tmp_path / "two", encode_owed(second))
    copy = await write_receipts(tmp_path / "copy", encode_owed(first), encode_owed(lowered))
    claims = {
        (a_session(number=7), SUPPLIER): a_claim(70_000),
        (a_session(number=8), SUPPLIER): a_claim(12_000, 8),
    }

    async def read_claims(market: object, gateway: object) -> dict[Place, Claim]:
        return claims

    async def clock() -> Clock:
        return CLOCK

    async def head() -> SimpleNamespace:
        return SimpleNamespace(number=CLOCK.genesis_block + 20 * CLOCK.session_blocks)

    monkeypatch.setattr(records, "read_claims", read_claims)
    market: Any = SimpleNamespace(
        sessions=SimpleNamespace(clock=clock), chain=SimpleNamespace(head=head)
    )
    for folders in ([one, two, copy], [copy, two, one]):
        found = await records.reconcile_logs(folders, market, GATEWAY)
        (row,) = found.compared
        assert (row.session.number, row.receipts, row.receipted) == (8, 3, 12_000)
        assert (row.finding, found.removed_until) == (Finding.AGREES, 7)
    alone = await records.reconcile_logs([one], market, GATEWAY)
    assert [each.finding for each in alone.compared] == [Finding.CLAIMED_MORE]


def test_the_command_asks_for_the_receipts_of_every_replica(tmp_path: Path) -> None:
    cli, config = CommandLine(app), tmp_path / "gateway.toml"
    config.write_text(
        f'data_dir = "{tmp_path}/one"\nreplicas = 2\n'
        f'gateway_id = "0x{GATEWAY.hex()}"\napplication = "0x{APPLICATION.hex()}"\n'
    )
    ask = ("reconcile", "--config", config)
    assert "has no receipts" in cli.refuse(*ask)
    for name in ("one", "two"):
        (tmp_path / name / "receipts").mkdir(parents=True)
    assert "--data-dir" in cli.refuse(*ask)
    assert "--data-dir" in cli.refuse(*ask, "--data-dir", tmp_path / "two" / ".." / "one")
    assert "--data-dir" not in cli.refuse(*ask, "--data-dir", tmp_path / "two")  # no chain is named


def sample(units: list[int], rng: random.Random) -> int:
    return sum(max(each, TAU) for each in units if rng.random() * TAU < each)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 3 * TAU), min_size=1, max_size=200), st.integers(0, 2**32))
def test_an_honest_claim_is_never_flagged(units: list[int], seed: int) -> None:
    rng, error = random.Random(seed), sampling_error(units, TAU)
    for _ in range(50):
        assert abs(sample(units, rng) - sum(units)) <= error


def test_a_tenth_too_much_is_flagged_where_there_is_enough_to_tell() -> None:
    units = [500] * 20_000
    assert sampling_error(units, TAU) < sum(units) // 20
