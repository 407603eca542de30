"""Every adversary is in the zoo, and has its row in the page."""

import re
from pathlib import Path

import adversaries
from adversaries.gateways import CRIMES
from adversaries.zoo import SCRIPTS, SUPPLIERS
from localnet.lies.stage import plan_market

FOLDER = Path(adversaries.__file__).parent
SHARED = {"__init__", "cheat", "program", "relays", "rogue", "scene", "zoo"}
EXPECTED = "gain expected"
PAGE = Path(__file__).parents[2] / "docs" / "cheats.md"


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_module_is_in_the_zoo() -> None:
    """Or in the market of lying traders, where units are sold ahead."""
    alone = {path.stem for path in FOLDER.glob("*.py")} - SHARED

    assert alone == {*SUPPLIERS, *SCRIPTS, *plan_market(()).cheats}


def test_every_adversary_has_its_row_in_the_page() -> None:
    named = [row[0].strip("`") for row in rows()]

    assert set(named) == {*SUPPLIERS, *SCRIPTS}
    assert named.count("gateways") == len(CRIMES)


def test_the_page_says_what_the_code_promises() -> None:
    by_module = {row[0].strip("`"): row for row in rows()}
    for module, cheat in SUPPLIERS.items():
        assert by_module[module][1:4] == [cheat.name, cheat.side, cheat.does]


def test_nobody_gains_but_the_parrot_until_it_is_contradicted() -> None:
    gained = {row[1]: float(row[7].replace(",", "")) for row in rows() if EXPECTED not in row[6]}

    assert {name for name, each in gained.items() if each > 0} <= {SUPPLIERS["parrot"].name}


def test_no_claim_under_a_draw_gains_in_the_mean() -> None:
    drawn = [
        re.search(r"gain expected (-?[\d.]+)$", row[6]) for row in rows() if EXPECTED in row[6]
    ]

    assert drawn
    assert all(each is not None and float(each[1]) <= 0 for each in drawn)


def test_what_audits_caught_is_given_with_how_likely_that_was() -> None:
    audited = [row for row in rows() if row[4].startswith("gateway's audit")]

    assert audited
    assert all(re.match(r"\d+% within \d+ plain answers", row[6]) for row in audited)


def test_no_row_is_without_what_caught_it_or_what_bounds_it() -> None:
    for row in rows():
        escaped = row[4] == "nobody in this run" and EXPECTED in row[6]
        assert escaped or re.match(r"(challenge|contract|gateway's|supplier's|nobody: )", row[4]), (
            row
        )
