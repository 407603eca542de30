"""What a cheat is in the table: what it does, and which line of defence is to catch it."""

from dataclasses import dataclass
from enum import Enum


class Line(Enum):
    """Who notices, in the order in which a relay passes them."""

    SUPPLIER = "supplier's check"
    GATEWAY = "gateway's check"
    RECOUNT = "gateway's recount"
    AUDIT = "gateway's audit"
    CONTRACT = "contract"
    CHALLENGE = "challenge"


@dataclass(frozen=True, slots=True)
class Cheat:
    """One row to be."""

    name: str
    side: str
    """`supplier`, `gateway` or `stranger`."""
    does: str
    line: Line
    check: str
    """What the evidence must show: contract's errors, joined by `|`, or a refusal's words."""
    is_all_bad: bool = False
    """Whether no leaf of its claims can be opened, the real ones included."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a scripted cheat came to; `gained` in token base units, everything lost deducted."""

    cheat: Cheat
    met: str
    """What refused it, in the words of who did; what happened, where nobody had to."""
    after: str = ""
    gained: int = 0
    cost: str = ""

    @property
    def is_as_promised(self) -> bool:
        """Whether it was stopped where it was to be, and nothing was gained."""
        is_met = any(each in self.met for each in self.cheat.check.split("|"))
        return is_met and self.gained <= 0
