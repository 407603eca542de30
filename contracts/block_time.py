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


@dataclass(slots=True)
class Pace:
    """What must be over by the time, though the chain is not seen; any clock that only goes on."""

    block_s: float = 0.0
    """Seconds of a block by timestamps, as of `begin`; 0 is not known."""
    _began: tuple[int, float] = (0, 0.0)
    """A block, and when it was seen."""
    _seen: tuple[int, float] = (0, 0.0)

    def see(self, head: int, at: float) -> None:
        """Take in the head and when it was looked at."""
        self._seen = head, at

    def begin(self, block_s: float) -> None:
        """Measure from the head seen last on."""
        self.block_s, self._began = block_s, self._seen

    def is_past(self, block: int, now: float) -> bool:
        """Whether the chain must have come to a block since it was seen; not, where none is due.

        A block takes what the timestamps say or what was seen since `begin`, whichever is longer.
        """
        (first, began), (head, at) = self._began, self._seen
        block_s = max(self.block_s, (at - began) / (head - first) if head > first else 0.0)
        due = int((now - at) / block_s) if block_s > 0 else 0
        return due > 0 and head + due >= block


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
