"""When a block will be, from how fast the last ones came."""

from dataclasses import dataclass

from contracts.chain import Chain

SPAN_BLOCKS = 64
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@dataclass(frozen=True, slots=True)
class BlockTime:
    """The pace of a chain around its head."""

    head: int
    timestamp: int
    """Of the head, in Unix seconds."""
    block_s: float
    """Mean seconds between the last blocks; 0 where they came at once."""

    def seconds_to(self, block: int) -> float:
        """Seconds from the head to a block, negative for one that is past."""
        return (block - self.head) * self.block_s

    def describe(self, block: int) -> str:
        """A block's number and about when it is, for people."""
        if block <= self.head:
            return f"block {block}, past"
        return f"block {block}, in about {describe_span(self.seconds_to(block))}"


def describe_span(seconds: float) -> str:
    """A span of time in its largest whole unit, rounded down."""
    for size, name in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {name}"
    return "0 s"


async def read_block_time(chain: Chain) -> BlockTime:
    """The pace of the last blocks; raises ChainError."""
    head = await chain.head()
    before = await chain.block(max(0, head.number - SPAN_BLOCKS))
    if before is None or before.number == head.number:
        return BlockTime(head.number, head.timestamp, 0.0)
    block_s = (head.timestamp - before.timestamp) / (head.number - before.number)
    return BlockTime(head.number, head.timestamp, block_s)
