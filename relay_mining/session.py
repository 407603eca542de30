"""Sessions: when they are, who they belong to and what a member may earn in one."""

from dataclasses import dataclass, field

from relay_mining.hashing import address_word, keccak, word
from relay_mining.threshold import compute_tau
from relay_mining.types import (
    ADDRESS_BYTES,
    AMOUNT_MAX,
    HASH_BYTES,
    UINT64_MAX,
    UNITS_MAX,
    UNITS_PER_PRICE,
    Address,
    Hash32,
    require_bytes,
    require_range,
)

HISTORY_BLOCKS = 8191
"""How far back EIP-2935's contract knows block hashes."""

WINDOW_SESSIONS = 4
"""Sessions whose blocks it must know: those of a claim's windows, and one to spare."""


@dataclass(frozen=True, slots=True)
class Window:
    """Blocks `opens` up to, but without, `closes`."""

    opens: int
    closes: int

    def __contains__(self, block: int) -> bool:
        return self.opens <= block < self.closes


@dataclass(frozen=True, slots=True)
class Clock:
    """The session clock of a deployment, in blocks; the immutables of the contract `Sessions`.

    Session n is served in n, claimed in n+1, challenged by the seed of n+2 and proved in the rest
    of n+2; its members are drawn by the seed of n-1. At least half a session is left to prove in.
    """

    genesis_block: int
    session_blocks: int
    seed_offset: int
    epoch_sessions: int

    def __post_init__(self) -> None:
        require_range("genesis_block", self.genesis_block, 0, UINT64_MAX)
        require_range("session_blocks", self.session_blocks, 4, HISTORY_BLOCKS // WINDOW_SESSIONS)
        require_range("seed_offset", self.seed_offset, 1, self.session_blocks // 2)
        require_range("epoch_sessions", self.epoch_sessions, 2, UINT64_MAX)

    def session_at(self, block: int) -> int:
        """Number of the session a block is in (ValueError before the genesis block)."""
        if block < self.genesis_block:
            raise ValueError(f"block {block} is before the genesis block {self.genesis_block}")
        return (block - self.genesis_block) // self.session_blocks

    def start(self, number: int) -> int:
        """First block of a session (ValueError for a negative number)."""
        if number < 0:
            raise ValueError(f"there is no session {number}")
        return self.genesis_block + number * self.session_blocks

    def seed_block(self, number: int) -> int:
        """Block whose hash is the seed of a session."""
        return self.start(number) + self.seed_offset

    def seed_window(self, number: int) -> Window:
        """Blocks in which the seed of a session can be read from the history and written."""
        block = self.seed_block(number)
        return Window(block + 1, block + HISTORY_BLOCKS + 1)

    def epoch_of(self, number: int) -> int:
        """Epoch a session belongs to."""
        if number < 0:
            raise ValueError(f"there is no session {number}")
        return number // self.epoch_sessions

    def serve_window(self, number: int) -> Window:
        """Blocks in which relays of a session are served."""
        return Window(self.start(number), self.start(number + 1))

    def claim_window(self, number: int) -> Window:
        """Blocks in which claims for a session are accepted."""
        return Window(self.start(number + 1), self.start(number + 2))

    def proof_window(self, number: int) -> Window:
        """Blocks in which claims for a session can be proved: their challenge is known."""
        return Window(self.seed_block(number + 2) + 1, self.start(number + 3))

    def roster_window(self, epoch: int) -> Window:
        """Blocks in which the roster of an epoch can be built (ValueError for epoch 0: none).

        It closes before the block whose hash draws the epoch's first members.
        """
        first = epoch * self.epoch_sessions
        return Window(self.start(first - self.epoch_sessions), self.start(first - 1))


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Who pays, through whom, for what, and when: the preimage of a session's id."""

    application: Address
    gateway: Address
    service: Hash32
    number: int
    id: Hash32 = field(init=False, repr=False, compare=False)
    """`keccak256(abi.encode(application, gateway, service, number))`."""

    def __post_init__(self) -> None:
        require_bytes("application", self.application, ADDRESS_BYTES)
        require_bytes("gateway", self.gateway, ADDRESS_BYTES)
        require_bytes("service", self.service, HASH_BYTES)
        require_range("number", self.number, 0, UINT64_MAX)
        preimage = (
            address_word(self.application)
            + address_word(self.gateway)
            + self.service
            + word(self.number)
        )
        object.__setattr__(self, "id", keccak(preimage))


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """What one member of a session can earn, known when the session opens."""

    key: SessionKey
    price: int
    """Token base units for a million compute units."""
    slice_amount: int
    """The member's part of the delegation's cap, in token base units."""
    tau: int
    """The sampling threshold, in compute units."""
    slice_units: int
    """The slice in compute units of weight."""


def compute_terms(
    key: SessionKey, cap: int, members: int, price: int, target_leaves: int
) -> SessionTerms:
    """The terms of one member, every division rounded down (against the member).

    A slice of more than UNITS_MAX units is cut to that, since no claim may sum to more.
    """
    require_range("cap", cap, 0, AMOUNT_MAX)
    require_range("members", members, 1, 2**8 - 1)
    require_range("price", price, 1, UINT64_MAX)
    slice_amount = cap // members
    slice_units = min(slice_amount * UNITS_PER_PRICE // price, UNITS_MAX)
    tau = compute_tau(slice_units, target_leaves)
    return SessionTerms(key, price, slice_amount, tau, slice_units)
