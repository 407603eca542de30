"""What the table makes of evidence: as promised or not, and what was gained."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from adversaries.cheat import Finding
from adversaries.claimant import TWICE
from adversaries.zoo import SUPPLIERS
from localnet.cheat_evidence import Answers, Fate
from localnet.cheat_rows import (
    Prices,
    answer_row,
    claim_row,
    client_row,
    finding_row,
    show_rows,
    write_page,
)
from relay_mining import Claim, TrieRoot, escape_probability, expected_gain
from tests.factories import SUPPLIER, a_session

PRICES = Prices(unit=2_000_000, margin_bps=12_000)
SUM, PAYABLE = 10_000, 1_000
VALUE = PRICES.value(SUM)


def a_fate(number: int = 7, *, slashed: int = 0, paid: int = 0) -> Fate:
    session = a_session(number=number)
    claim = Claim(SUPPLIER, session, TrieRoot(bytes(32), SUM, 10), VALUE, VALUE, 1, 0, 2_000_000)
    return Fate(claim, made=100, ended=120, slashed=slashed, paid=paid)


def payable(*fates: Fate) -> dict[str, int]:
    return {each.claim.session.id.hex(): PAYABLE for each in fates}


def test_a_caught_claim_loses_its_bond_and_its_honest_part() -> None:
    cheat, fate = SUPPLIERS["inventor"], a_fate(slashed=VALUE)
    row = claim_row("inventor", cheat, [fate], {cheat.check: 3}, payable(fate), PRICES)

    caught = 1 - escape_probability(0.9, 1.2)
    assert row.gained == -VALUE - PRICES.value(PAYABLE)
    assert row.chances.show(10**6).startswith(f"{caught:.2f} ±")
    assert "of 1 claims; 1 (92%; 21% to 100%)" in row.chances.show(10**6)
    assert row.chances.expected_gain == pytest.approx(expected_gain(0.9, VALUE, VALUE, 1.2))
    assert (row.after, row.is_as_promised) == ("20 blocks", True)


def test_an_escaped_claim_shows_its_gain() -> None:
    cheat, fate = SUPPLIERS["inventor"], a_fate(paid=VALUE)
    row = claim_row("inventor", cheat, [fate], {}, payable(fate), PRICES)

    assert row.gained == VALUE - PRICES.value(PAYABLE)
    assert row.caught_by == "nobody in this run"
    assert row.is_as_promised  # once in twelve: within what is predicted


def test_escaping_beyond_what_is_predicted_is_not_as_promised() -> None:
    fates = [a_fate(number, paid=VALUE) for number in range(4)]
    row = claim_row("inventor", SUPPLIERS["inventor"], fates, {}, payable(*fates), PRICES)

    assert not row.is_as_promised


def test_a_claim_of_no_good_leaf_may_not_escape_once() -> None:
    fate = a_fate(paid=VALUE)
    row = claim_row("inflator", SUPPLIERS["inflator"], [fate], {}, payable(fate), PRICES)

    assert not row.is_as_promised


def test_a_claim_voided_for_another_reason_is_not_as_promised() -> None:
    fate = a_fate(slashed=VALUE)
    refusals = {"Proof_WrongLeafCount": 1}
    row = claim_row("inflator", SUPPLIERS["inflator"], [fate], refusals, payable(fate), PRICES)

    assert not row.is_as_promised


@pytest.mark.parametrize(("overclaims", "is_good"), [(1, True), (0, False)])
def test_an_overclaim_must_be_seen(overclaims: int, is_good: bool) -> None:
    answers = Answers(tries=1, overclaims=overclaims, receipted=141, began=10, caught=12)
    row = answer_row("overclaimer", SUPPLIERS["overclaimer"], answers, 141, PRICES, 0.0)

    assert (row.is_as_promised, row.gained) == (is_good, 0)


def test_paid_for_no_work_is_a_gain_and_unpaid_work_a_loss() -> None:
    paid, unpaid = Answers(tries=1, receipted=5), Answers(tries=1, receipted=0)
    parrot = answer_row("parrot", SUPPLIERS["parrot"], paid, 0, PRICES, 0.25)
    tamperer = answer_row("tamperer", SUPPLIERS["tamperer"], unpaid, 5, PRICES, 0.25)

    assert (parrot.gained, tamperer.gained) == (10, -10)


@pytest.mark.parametrize("doubts", [0, 2])
def test_a_parrot_must_be_contradicted(doubts: int) -> None:
    answers = Answers(
        tries=9, began=10, caught=25 * bool(doubts), doubts=doubts, plain=[11, 25, 26]
    )
    row = answer_row("parrot", SUPPLIERS["parrot"], answers, 0, PRICES, 0.25)

    assert row.is_as_promised == bool(doubts)
    assert row.after == ("15 s" if doubts else "")
    assert row.odds(1) == ("44% within 2 plain answers, which it took" if doubts else "")
    assert row.exposed == (2 if doubts else 3)


def test_a_client_is_billed_to_the_last_unit() -> None:
    cheat = replace(SUPPLIERS["parrot"], check="client_abort")
    billed = client_row("leaver", cheat, Answers(aborts=3, served=99, receipted=99), PRICES)
    free = client_row("leaver", cheat, Answers(aborts=3, served=99, receipted=98), PRICES)

    lied = Answers(aborts=3, served=99, receipted=98, overclaimed=1)

    assert client_row("leaver", cheat, lied, PRICES).is_as_promised
    assert (billed.is_as_promised, billed.gained) == (True, 0)
    assert (free.is_as_promised, free.gained) == (False, 2)


def test_a_finding_that_gained_or_met_nobody_is_not_as_promised() -> None:
    met = Finding(TWICE, f"contract: {TWICE.check}")
    rows = [finding_row("claimant", each) for each in (met, replace(met, gained=1))]
    rows.append(finding_row("claimant", replace(met, met="nobody")))

    assert [row.is_as_promised for row in rows] == [True, False, False]


@pytest.mark.parametrize("width", [80, 160])
def test_the_table_cuts_no_words_off(width: int) -> None:
    row = finding_row("claimant", Finding(TWICE, f"contract: {TWICE.check}", "at once"))
    console = Console(file=io.StringIO(), width=width)
    console.print(show_rows([row], 10**6))

    assert "…" not in console.file.getvalue()  # type: ignore[attr-defined]
    assert f"| `claimant` | {TWICE.name} |" in write_page([row], 10**6)
