"""A claim is an unbiased estimate of the receipted units, its error within the stated bound."""

from collections.abc import Callable
from math import sqrt
from random import Random
from statistics import fmean, pstdev, stdev

import pytest

from relay_mining import SliceMeter, compute_tau, mine_receipt
from tests.factories import a_hash

SEEDS = 1_500

WORKLOADS: dict[str, Callable[[Random], list[int]]] = {
    "tiny": lambda rng: [1] * 120,
    "even": lambda rng: [500] * 120,
    "at tau": lambda rng: [950, 1_000, 1_001] * 40,
    "skewed": lambda rng: [min(10**6, int(20 * rng.paretovariate(0.9))) for _ in range(120)],
    "one giant": lambda rng: [3] * 119 + [10**7],
}
TAU = 1_000


def claim_of(units: list[int], salt: bytes, tau: int = TAU) -> int:
    """Weight of the claim over these receipts under one salt."""
    leaves = (mine_receipt(a_hash(i), u, salt, tau) for i, u in enumerate(units))
    return sum(leaf.weight for leaf in leaves if leaf)


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_mean_claim_is_the_units_and_the_error_within_its_bound(name: str) -> None:
    units = WORKLOADS[name](Random(3))
    claims = [claim_of(units, a_hash(f"{name} {seed}")) for seed in range(SEEDS)]
    total = sum(units)
    error = stdev(claims) / sqrt(SEEDS)
    assert abs(fmean(claims) - total) <= 4 * error
    exact = sqrt(sum(u * (TAU - u) for u in units if u < TAU))
    assert pstdev(claims) == pytest.approx(exact, rel=0.1)
    assert exact / total <= sqrt(TAU / total)


def test_relays_of_tau_or_more_are_counted_exactly() -> None:
    units = [TAU, TAU + 1, 70_000]
    assert {claim_of(units, a_hash(seed)) for seed in range(200)} == {sum(units)}


def test_a_full_slice_has_about_the_target_number_of_leaves() -> None:
    slice_units, target = 4_000_000, 256
    tau = compute_tau(slice_units, target)
    units = [tau // 10] * (slice_units // (tau // 10))
    leaves = sum(mine_receipt(a_hash(i), u, a_hash("s"), tau) is not None
                 for i, u in enumerate(units))  # fmt: skip
    assert abs(leaves - target) < 5 * sqrt(target)


def serve_a_slice(seed: int) -> tuple[int, int]:
    """Receipted units and claimed weight of a session that the slice rule stopped."""
    rng, salt = Random(seed), a_hash(f"slice {seed}")
    slice_units = 12_000
    meter, receipted = SliceMeter(slice_units, TAU), 0
    for index in range(10_000):
        max_units = rng.choice([100, 800, 1_500, 3_000])
        if not meter.can_accept(max_units):
            break
        meter.reserve(max_units)
        units = rng.randint(1, max_units)
        leaf = mine_receipt(a_hash(f"{seed} {index}"), units, salt, TAU)
        meter.settle(max_units, leaf.weight if leaf else 0)
        receipted += units
    assert meter.weight <= slice_units
    return receipted, meter.weight


def test_the_slice_rule_keeps_the_claim_unbiased_and_within_the_slice() -> None:
    gaps = [weight - units for units, weight in map(serve_a_slice, range(SEEDS))]
    assert abs(fmean(gaps)) <= 4 * stdev(gaps) / sqrt(SEEDS)


def test_threshold_sampling_errs_less_than_uniform_difficulty_at_equal_leaves() -> None:
    """Token-weighted work under POKT's rule: every relay alike, the sum scaled up."""
    units = WORKLOADS["skewed"](Random(5))
    total = sum(units)
    claims = [claim_of(units, a_hash(f"t {seed}")) for seed in range(400)]
    share = sum(min(1.0, u / TAU) for u in units) / len(units)
    rng = Random(6)
    uniform = [sum(u for u in units if rng.random() < share) / share for _ in range(400)]
    assert pstdev(claims, total) < 0.5 * pstdev(uniform, total)
