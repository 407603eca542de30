"""Adaptive uniform difficulty, as POKT has it: kept for the comparison with the paper.

Every relay alike is payable with probability `p`; `p` follows the traffic, so that about `target`
relays a block are. The market itself uses `threshold`, which is fixed when a session opens (nothing
for strangers to move) and has far less variance where relays differ in units.

Source: D. Olshansky, R. Rodriguez Colmeiro, "Relay Mining: Incentivizing Full Non-Validating Nodes
Servicing All RPC Types", arXiv 2305.10672v2, Algorithm 2.
"""

from dataclasses import dataclass, replace

from relay_mining.types import Hash32

_HASH_SPACE = 2**256


@dataclass(frozen=True, slots=True)
class DifficultyState:
    """The rule's memory: smoothed relays a block, probability of being payable, blocks seen."""

    relays_ema: float = 0.0
    probability: float = 1.0
    blocks: int = 0


@dataclass(frozen=True, slots=True)
class DifficultyRule:
    """Algorithm 2: an exponential average of the estimated traffic sets `p` every few blocks."""

    target: float
    """Payable relays wanted a block (T)."""
    alpha: float
    """Weight of the newest block in the average, in (0, 1]."""
    update_blocks: int
    """Blocks between two changes of the probability (U)."""

    def __post_init__(self) -> None:
        if self.target <= 0 or not 0 < self.alpha <= 1 or self.update_blocks < 1:
            raise ValueError(f"no difficulty rule: {self}")

    def next(self, state: DifficultyState, payable: float) -> DifficultyState:
        """Return the state after a block in which `payable` relays were claimed."""
        relays = estimate_relays(payable, state.probability)
        after = replace(
            state,
            relays_ema=self.alpha * relays + (1 - self.alpha) * state.relays_ema,
            blocks=state.blocks + 1,
        )
        if after.blocks % self.update_blocks:
            return after
        wanted = self.target / after.relays_ema if after.relays_ema else 1.0
        return replace(after, probability=min(1.0, wanted))


def estimate_relays(payable: float, probability: float) -> float:
    """Return the unbiased estimate of the relays of which `payable` were payable."""
    return payable / probability


def compute_target(probability: float) -> int:
    """Return the inclusive hash target of a probability in (0, 1], rounded down."""
    if not 0 < probability <= 1:
        raise ValueError(f"a probability of {probability}")
    numerator, denominator = probability.as_integer_ratio()
    return max(0, _HASH_SPACE * numerator // denominator - 1)


def is_below_target(relay_hash: Hash32, target: int) -> bool:
    """Whether a relay is payable under uniform difficulty, whatever its units."""
    return int.from_bytes(relay_hash, "big") <= target
