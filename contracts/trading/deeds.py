"""What is due of an order, or of a clearing, at a block; pure.

Nothing is remembered but what the chain says, so a node that was down for an hour carries on with
whatever is due by then.
"""

from enum import Enum

from contracts.auction_values import AuctionWindows, OrderSide, OrderState


class Deed(Enum):
    """What a trader does for its order of a round."""

    COMMIT = "commit"
    REVEAL = "reveal"
    FORFEIT = "forfeit"
    """Too late to reveal: the bond is lost, the rest of the deposit comes back."""
    SETTLE = "settle"


class Stage(Enum):
    """What whoever clears does for a round."""

    SUBMIT = "submit"
    DEFEND = "defend"
    """Show the leaves that were demanded, until the clearing can be published."""
    PUBLISH = "publish"
    RELEASE = "release"


def due_deed(
    side: OrderSide, windows: AuctionWindows, block: int, state: OrderState, is_cleared: bool
) -> Deed | None:
    """What is due of an order; None for nothing, now or any more."""
    if state is OrderState.NONE:
        is_open = windows.commit_from <= block < windows.reveal_from
        return Deed.COMMIT if is_open else None
    if state is OrderState.SEALED:
        if block >= windows.reveal_end:
            return Deed.FORFEIT
        return Deed.REVEAL if block >= windows.reveal_from else None
    is_over = is_cleared or block >= windows.publish_end
    if side is OrderSide.BID and state is OrderState.OPEN and is_over:
        return Deed.SETTLE
    return None


def due_clearing(
    windows: AuctionWindows, block: int, is_submitted: bool, is_cleared: bool
) -> Stage | None:
    """What is due of one's own clearing; None for nothing, now or any more."""
    if not is_submitted:
        is_open = windows.clear_from <= block < windows.clear_end
        return Stage.SUBMIT if is_open and not is_cleared else None
    if is_cleared or block >= windows.publish_end:
        return Stage.RELEASE
    return Stage.PUBLISH if block >= windows.publish_from else Stage.DEFEND
