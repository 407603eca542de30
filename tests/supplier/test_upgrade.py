"""`supplier upgrade-check`: what the next release would find, and when it may start."""

from dataclasses import replace
from importlib.metadata import version
from typing import Any

import pytest

from contracts import BlockTime
from relay_mining import Claim, TrieRoot
from supplier.mining.books import Books
from supplier.mining.records import Sealed
from supplier.mining.session_book import SessionBook
from supplier.operation.doctor import Verdict
from supplier.operation.upgrade import Due, find_due, judge_moment, judge_version
from tests.contracts.world import SERVED, World
from tests.factories import CLOCK, OPERATOR_SIGNER, SUPPLIER, a_hash, a_session
from tests.supplier.market import CREDIT, facts_of
from tests.supplier.operating import Operating

NOW = BlockTime(head=200, timestamp=0, block_s=2.0)


def a_book(number: int = 7, is_claimed: bool = False) -> SessionBook:
    """Session 7 is claimed in [196, 208) and proved in [211, 220)."""
    key = a_session(number=number)
    book = Books(SUPPLIER, CREDIT).open(facts_of(key), OPERATOR_SIGNER.session_salt(key.id))
    if is_claimed:
        root = TrieRoot(a_hash("root"), 1, 1)
        book.claims.append(Claim(SUPPLIER, key, root, 1, 1, 1, 0, 1))
    return book


@pytest.mark.parametrize(
    ("head", "is_claimed", "expected"),
    [
        (195, False, []),
        (196, False, [Due(7, "claimed", 208)]),
        (207, False, [Due(7, "claimed", 208)]),
        (208, False, []),
        (200, True, [Due(7, "proved", 220)]),
        (219, True, [Due(7, "proved", 220)]),
        (220, True, []),
    ],
)
def test_what_is_due(head: int, is_claimed: bool, expected: list[Due]) -> None:
    assert find_due([a_book(is_claimed=is_claimed)], head, CLOCK) == expected


def test_the_most_urgent_decides_the_moment() -> None:
    books = [a_book(7, is_claimed=True), a_book(7)]
    due = find_due(books, 200, CLOCK)
    assert [each.closes for each in due] == [208, 220]
    assert judge_moment(due, NOW, restart_s=8).verdict is Verdict.OK  # 16 s are left
    late = judge_moment(due, NOW, restart_s=8.1)
    assert (late.verdict, "after block 208" in late.remedy) == (Verdict.FAILED, True)
    assert judge_moment([], NOW, 1e9).verdict is Verdict.OK
    assert judge_moment(due, replace(NOW, block_s=0.0), 1).verdict is Verdict.FAILED


def test_versions() -> None:
    assert judge_version("2", None).verdict is Verdict.SKIPPED
    assert "runs 1; a restart starts 2" in judge_version("2", "1").says
    assert "which is what is installed" in judge_version("2", "2").says


def found(operator: Operating, status: int, *options: object) -> dict[str, dict[str, Any]]:
    result = operator.cli.run("upgrade-check", *options, status=status)
    return {each["name"]: each for each in result["findings"]}


@pytest.mark.anvil
def test_a_node_is_checked_before_it_is_replaced(operator: Operating) -> None:
    operator.serve_session()
    listed = operator.cli.run("source", "list", "lode-demo")["service"]
    operator.config.write_text(
        "\n".join(
            f'services = ["{listed}"]' if line.startswith("services") else line
            for line in operator.config.read_text().splitlines()
        )
    )

    checked = found(operator, 0)

    assert checked["version"]["says"].startswith(version("lode"))
    assert checked["messages"]["verdict"] == checked["model"]["verdict"] == "ok"
    assert "receipts of 1 open sessions" in checked["receipt log"]["says"]
    assert "nothing is due" in checked["moment"]["says"]

    async def over(world: World) -> None:
        world.go_to(SERVED + 1)

    operator.act(over)
    assert "to be claimed" in found(operator, 1, "--restart-s", 1e6)["moment"]["says"]


@pytest.mark.anvil
def test_a_release_that_would_not_start_is_kept_off(operator: Operating) -> None:
    operator.serve_session()
    assert found(operator, 1)["model"]["verdict"] == "failed"  # the world lists another model
    operator.log([Sealed(a_hash("another session"))])
    log = next((operator.folder / "supplier-data" / "receipts").glob("*.log"))
    damaged = bytearray(log.read_bytes())
    damaged[30] ^= 1
    log.write_bytes(damaged)
    assert found(operator, 1)["receipt log"]["verdict"] == "failed"
