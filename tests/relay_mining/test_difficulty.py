"""POKT's adaptive difficulty, against what its paper publishes."""

import math

import pytest

from relay_mining import DifficultyRule, DifficultyState
from relay_mining.difficulty import compute_target, estimate_relays, is_below_target

PAPER = DifficultyRule(target=10_000, alpha=0.1, update_blocks=4)


def run(traffic: list[float], rule: DifficultyRule = PAPER) -> list[float]:
    """Payable relays of each block, in expectation."""
    state, payable = DifficultyState(), []
    for relays in traffic:
        payable.append(relays * state.probability)
        state = rule.next(state, payable[-1])
    return payable


def test_steady_traffic_converges_to_the_target() -> None:
    assert run([5e6] * 400)[-1] == pytest.approx(10_000, rel=1e-6)


def test_traffic_below_the_target_is_payable_whole() -> None:
    assert run([9_000] * 100) == [9_000] * 100


def test_the_probability_moves_every_fourth_block_only() -> None:
    state = DifficultyState()
    seen = []
    for _ in range(9):
        state = PAPER.next(state, 1e6 * state.probability)
        seen.append(state.probability)
    assert seen[0] == seen[1] == seen[2] == 1.0
    assert seen[3] == seen[4] == seen[6] == pytest.approx(10_000 / (1e6 * (1 - 0.9**4)))
    assert seen[7] == seen[8] != seen[6]


def test_a_step_surge_overshoots_as_the_paper_says_and_recovers() -> None:
    payable = run([1.12e3] * 200 + [2.76e5] * 100)
    assert max(payable) > 20 * 10_000
    assert payable[-1] == pytest.approx(10_000, rel=1e-3)


def test_growing_traffic_lags_by_the_papers_bias() -> None:
    growth = 100.0
    traffic = [1e6 + growth * block for block in range(4_000)]
    lag = [payable / 10_000 - 1 for payable in run(traffic)][-400:]
    expected = growth * (0.9 / 0.1 + 2.5) / traffic[-200]
    assert sum(lag) / len(lag) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("probability", [1.0, 0.5, 1e-9, 5e-324])
def test_a_target_is_the_share_of_all_hashes(probability: float) -> None:
    target = compute_target(probability)
    assert math.isclose((target + 1) / 2**256, max(probability, 2**-256), rel_tol=1e-12)
    assert is_below_target(target.to_bytes(32, "big"), target)
    if target < 2**256 - 1:
        assert not is_below_target((target + 1).to_bytes(32, "big"), target)


def test_what_is_no_rule_is_refused() -> None:
    for target, alpha, blocks in ((0, 0.1, 4), (1, 0, 4), (1, 1.1, 4), (1, 0.1, 0)):
        with pytest.raises(ValueError, match="no difficulty rule"):
            DifficultyRule(target, alpha, blocks)
    for probability in (0.0, 1.1):
        with pytest.raises(ValueError, match="probability"):
            compute_target(probability)


def test_relays_are_estimated_without_bias_and_an_idle_chain_is_open() -> None:
    assert estimate_relays(50, 0.01) == pytest.approx(5_000)
    state = DifficultyState()
    for _ in range(8):
        state = PAPER.next(state, 0)
    assert state.probability == 1.0
