"""What every page is framed with: where the session clock stands, how money is written."""

from dataclasses import dataclass
from typing import Any

from relay_mining import Clock


@dataclass(frozen=True, slots=True)
class Token:
    """The market's token."""

    symbol: str
    decimals: int

    def show(self) -> dict[str, Any]:
        """Its JSON."""
        return {"symbol": self.symbol, "decimals": self.decimals}


def show_clock(clock: Clock, head: int) -> dict[str, Any]:
    """Block, session and epoch, and how far the session has come; -1 before the first."""
    if head < clock.genesis_block:
        return {"block": head, "session": -1, "epoch": -1, "at": 0, "length": clock.session_blocks}
    session = clock.session_at(head)
    return {
        "block": head,
        "session": session,
        "epoch": clock.epoch_of(session),
        "at": head - clock.start(session),
        "length": clock.session_blocks,
    }
