"""The audit finds what it is there to find: each breach, and nothing where there is none."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.settlement.outbox import OwedReceipt, encode_lowered, encode_owed, encode_settled
from localnet.audit import Audit, SupplierAudit, keep_segments, read_owed, read_sessions
from node.append_log import AppendLog
from relay_mining import Claim, MinedReceipt
from supplier.mining.receipt_log import ReceiptLog
from supplier.mining.records import Closed, Opened, Receipted, Record, Sealed
from tests.factories import DOMAIN, GATEWAY_SIGNER, SUPPLIER, a_hash, a_session
from tests.relay_mining.claimed import SALT, TAU, ClaimedSession, a_claimed_session
from tests.supplier.market import facts_of

pytestmark = pytest.mark.anyio

SESSION = a_session()
CLAIMED = a_claimed_session()


def record_of(mined: MinedReceipt) -> Receipted:
    receipt = mined.receipt
    return Receipted(
        receipt.session_id, receipt.request_hash, receipt.response_hash, receipt.secret,
        receipt.units, mined.batch_signature, mined.batch_path,
    )  # fmt: skip


def owed_of(mined: MinedReceipt) -> OwedReceipt:
    receipt = mined.receipt
    return OwedReceipt(
        SESSION, GATEWAY_SIGNER.address, SUPPLIER, receipt.request_hash, receipt.response_hash,
        receipt.salt_hash, receipt.units,
    )  # fmt: skip


def the_log(claimed: ClaimedSession = CLAIMED) -> list[Record]:
    facts = facts_of(SESSION)
    facts = replace(facts, terms=replace(facts.terms, tau=TAU))
    receipts = [record_of(each) for each in claimed.mined.values()]
    return [Opened(facts, SALT), *receipts, Sealed(SESSION.id), Closed(SESSION.id, "settled")]


async def audit(
    folder: Path, records: Sequence[Record], claims: Sequence[Claim],
    owed: Sequence[MinedReceipt] = tuple(CLAIMED.mined.values()),
) -> SupplierAudit:  # fmt: skip
    log = ReceiptLog(folder / "log")
    await log.append(records)
    await log.close()
    debts = {
        (each.receipt.request_hash, each.receipt.response_hash): owed_of(each) for each in owed
    }
    by_session: Mapping[tuple[bytes, bytes], Sequence[Claim]] = {
        (SUPPLIER, SESSION.id): tuple(claims)
    }
    book = {key: found for key, found in by_session.items() if found}
    return Audit(DOMAIN, debts, book).check("s", SUPPLIER, await read_sessions(folder / "log"))


async def test_a_log_that_is_claimed_whole_has_no_breach(tmp_path: Path) -> None:
    found = await audit(tmp_path, the_log(), [CLAIMED.claim])

    assert found.breaches == []
    assert found.owed == found.logged == len(CLAIMED.mined)
    assert found.payable == found.claimed == CLAIMED.claim.root.count
    assert found.lost == 0


async def test_a_receipt_written_twice_counts_once(tmp_path: Path) -> None:
    opened, *receipts, sealed, closed = the_log()

    found = await audit(tmp_path, [opened, *receipts, *receipts, sealed, closed], [CLAIMED.claim])

    assert found.breaches == []
    assert found.logged == len(CLAIMED.mined)


async def test_a_receipt_acknowledged_behind_the_seal_is_a_breach(tmp_path: Path) -> None:
    *log, sealed, closed = the_log(a_claimed_session((70_000,) * 3))
    claim = a_claimed_session((70_000,) * 2).claim

    found = await audit(tmp_path, [*log[:-1], sealed, log[-1], closed], [claim])

    assert any("2 leaves for 3 payable" in each for each in found.breaches)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ([], "payable receipts unclaimed: settled"),
        ([CLAIMED.claim, CLAIMED.claim], "2 claims"),
        ([a_claimed_session((70_000,)).claim], "1 leaves for"),
    ],
)
async def test_a_wrong_number_of_claims_or_leaves_is_a_breach(
    tmp_path: Path, claims: list[Claim], words: str
) -> None:
    found = await audit(tmp_path, the_log(), claims)

    assert len(found.breaches) == 1
    assert words in found.breaches[0]


async def test_what_was_owed_and_never_logged_is_lost_and_no_breach(tmp_path: Path) -> None:
    one, *others = a_claimed_session((70_000,) * 4).mined.values()
    claimed = ClaimedSession(CLAIMED.claim, CLAIMED.trie, {a_hash(0): one})
    claim = a_claimed_session((70_000,)).claim

    found = await audit(tmp_path, the_log(claimed), [claim], [one, *others])

    assert (found.lost, found.lost_units) == (3, 210_000)
    assert all("leaves" in each for each in found.breaches)


async def test_a_receipt_nobody_owed_is_a_breach(tmp_path: Path) -> None:
    found = await audit(tmp_path, the_log(), [CLAIMED.claim], owed=())

    assert found.breaches == [f"{len(CLAIMED.mined)} receipts that the gateway never owed"]


async def test_a_leaf_in_two_suppliers_claims_is_a_breach(tmp_path: Path) -> None:
    await audit(tmp_path, the_log(), [])
    sessions = await read_sessions(tmp_path / "log")
    both = Audit(DOMAIN, {}, {(SUPPLIER, SESSION.id): [CLAIMED.claim]})

    both.check("first", SUPPLIER, sessions)
    second = both.check("second", SUPPLIER, sessions)

    assert any("a leaf that first" in each for each in second.breaches)


async def test_claimed_units_are_held_against_those_acknowledged(tmp_path: Path) -> None:
    units = [each.receipt.units for each in CLAIMED.mined.values()]

    audited = await audit(tmp_path, the_log(), [CLAIMED.claim])

    assert audited.logged_units == sum(units)
    assert audited.claimed_units == CLAIMED.claim.root.sum
    assert audited.variance == sum(each * max(0, TAU - each) for each in units)


async def test_owed_receipts_are_read_as_recounted_delivered_ones_too(tmp_path: Path) -> None:
    kept, lowered, taken_back = [owed_of(each) for each in list(CLAIMED.mined.values())[:3]]
    async with AppendLog(tmp_path) as log:
        await log.append_many([encode_owed(each) for each in (kept, lowered, taken_back)])
        await log.append_many(
            [encode_lowered(lowered.response_hash, 5), encode_lowered(taken_back.response_hash, 0)]
        )
        await log.append(encode_settled(kept.response_hash))

    owed = (await read_owed(tmp_path)).values()

    assert list(owed) == [kept, replace(lowered, units=5)]


async def test_an_archive_keeps_what_the_log_deletes(tmp_path: Path) -> None:
    log = ReceiptLog(tmp_path / "log")
    await log.append(the_log())
    keep_segments(tmp_path / "log", tmp_path / "archive")
    await log.enter(9)
    log.drop_before(9)
    keep_segments(tmp_path / "log", tmp_path / "archive")
    await log.close()

    sessions = await read_sessions(tmp_path / "archive")

    assert len(sessions[SESSION.id].receipts) == len(CLAIMED.mined)
    assert sessions[SESSION.id].end == "settled"
