"""What serving and settling must know of other relay servers, and the node that has none."""

from typing import Protocol

from relay_mining import Address


class Sharding(Protocol):
    """Which relay server serves a gateway."""

    def owns(self, gateway: Address) -> bool:
        """Whether this server serves it, now; asked for every relay."""
        ...

    def verify_not_elsewhere(self, gateway: Address) -> None:
        """Raise what `require` would, where that is known without asking anybody."""
        ...

    async def require(self, gateway: Address) -> None:
        """Return once this server serves it, its books as the log has them.

        Raises MisdirectedError where another does, BusyError where it cannot be said.
        """
        ...

    async def require_known(self, gateway: Address) -> None:
        """The same for a gateway that is served already; of a stranger nothing is kept."""
        ...


class Office(Protocol):
    """Which node settles, and trades."""

    @property
    def is_ours(self) -> bool:
        """Whether this node does, now."""
        ...

    async def enter(self, head: int) -> bool:
        """Whether this node may settle at a head; the books to settle from are complete then."""
        ...


class Alone:
    """A node that serves every gateway and settles everything itself."""

    is_ours = True

    def owns(self, gateway: Address) -> bool:
        """Always."""
        return True

    def verify_not_elsewhere(self, gateway: Address) -> None:
        """Nothing to do."""

    async def require(self, gateway: Address) -> None:
        """Nothing to do."""

    async def require_known(self, gateway: Address) -> None:
        """Nothing to do."""

    async def enter(self, head: int) -> bool:
        """Always."""
        return True


ALONE = Alone()
