"""What the chain says of an epoch that is over, asked for once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from relay_mining import Hash32

Found = TypeVar("Found")


@dataclass(slots=True)
class Remembered(Generic[Found]):
    """Answers about services and epochs that cannot change any more; what was read first goes
    where there are more than `most`."""

    read: Callable[[Hash32, int], Awaitable[Found]]
    most: int
    _kept: OrderedDict[tuple[Hash32, int], Found] = field(default_factory=OrderedDict)

    async def get(self, service: Hash32, epoch: int) -> Found:
        """The answer for an epoch of a service; raises what `read` raises."""
        place = (service, epoch)
        if place not in self._kept:
            self._kept[place] = await self.read(service, epoch)
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)
        return self._kept[place]
