"""What a supplier runs out of is in its metrics before it is gone."""

from pathlib import Path

import pytest

from supplier.metrics import Metrics
from supplier.mining.books import Books
from supplier.mining.chain_view import ChainView
from supplier.operation.vitals import Subject, Vitals, window_left
from tests.contracts.world import OPERATOR, SERVICE_ID, STAKE, SUPPLIER, World, address
from tests.factories import CLOCK, a_hash
from tests.supplier.market import CREDIT
from tests.supplier.operating import Operating
from tests.supplier.test_upgrade import a_book


@pytest.mark.parametrize(
    ("head", "is_claimed", "left"),
    [
        (195, False, 1.0),  # still served
        (196, False, 1.0),
        (205, False, 0.25),
        (207, False, 1 / 12),
        (208, False, 1.0),  # over
        (210, True, 1.0),  # no challenge yet
        (211, True, 1.0),
        (219, True, 1 / 9),
        (220, True, 1.0),
    ],
)
def test_the_window_that_closes_first(head: int, is_claimed: bool, left: float) -> None:
    assert window_left([a_book(is_claimed=is_claimed)], head, CLOCK) == pytest.approx(left)


def test_of_several_sessions_the_most_urgent_counts() -> None:
    books = [a_book(7), a_book(6, is_claimed=True)]
    assert window_left(books, 205, CLOCK) == pytest.approx(0.25)
    assert window_left(books, 200, CLOCK) == pytest.approx(8 / 12)
    assert window_left([], 205, CLOCK) == 1.0


def test_every_stage_is_shown_before_anything_came_to_it() -> None:
    """A counter that begins with a loss has not risen: no alert would tell of the first."""
    shown = Metrics().render().decode()

    for stage in ("lost", "voided"):
        assert f'supplier_funnel_token_base_units_total{{stage="{stage}"}} 0.0' in shown
    assert 'supplier_funnel_units_total{stage="lost"} 0.0' in shown


@pytest.mark.anvil
def test_gas_stake_roster_and_disk_are_shown(operator: Operating, tmp_path: Path) -> None:
    seen: list[Metrics] = []

    async def look(world: World) -> None:
        view, metrics = ChainView(world.market, SUPPLIER, 0, 0.01), Metrics()
        await view.start()
        subject = Subject(SUPPLIER, (SERVICE_ID, a_hash("not ours")), tmp_path, 350_000)
        await Vitals(subject, view, Books(SUPPLIER, CREDIT), metrics).look()
        seen.append(metrics)

    operator.act(look)
    operator.cli.run("unstake", STAKE)
    operator.market.anvil.rpc("anvil_setBalance", "0x" + address(OPERATOR).hex(), "0x1")

    async def serve(world: World) -> None:
        world.go_to(2)
        await look(world)

    operator.act(serve)
    before, after = seen

    def funds(metrics: Metrics, place: str) -> float | None:
        name = "supplier_funds_token_base_units"
        return metrics.registry.get_sample_value(name, {"place": place})

    def in_roster(metrics: Metrics, service: bytes) -> float | None:
        labels = {"service": "0x" + service.hex()}
        return metrics.registry.get_sample_value("supplier_in_roster", labels)

    assert (funds(before, "stake_free"), funds(before, "leaving")) == (STAKE, 0)
    assert (funds(after, "stake_free"), funds(after, "leaving")) == (0, STAKE)
    assert in_roster(before, SERVICE_ID) == 0  # rosters begin with epoch 1
    assert (in_roster(after, SERVICE_ID), in_roster(after, a_hash("not ours"))) == (1, 0)
    assert before.registry.get_sample_value("supplier_operator_gas_claims") > 0  # type: ignore[operator]
    assert after.registry.get_sample_value("supplier_operator_gas_claims") == 0
    assert after.registry.get_sample_value("supplier_window_left_ratio") == 1
