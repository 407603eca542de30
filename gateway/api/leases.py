"""Who of several gateways works on what in a store that they share: leases, which run out.

A lease is a file whose name counts up: who makes the next number has taken it over, and whoever
had the one before sees so when it renews. Times are the holders' own clocks, which are to agree to
within a few seconds.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from gateway.api.file_store import FileStore

LEASE = ".lease"
HELD_S = 20.0
"""How long a lease holds that is not renewed."""


@dataclass(slots=True)
class Leases:
    """The leases of one holder; slow, so never on the loop's thread."""

    store: FileStore
    holder: str = ""
    now: Callable[[], float] = time.time
    _held: dict[str, int] = field(default_factory=dict)

    def take(self, name: str) -> bool:
        """Take a lease that nobody has, that ran out, or that an earlier process here had."""
        number = self._newest(name)
        lease = orjson.loads(self.store.get(_place(name, number)) or b"{}") if number else {}
        if lease.get("holder") == self.holder:
            self._held[name] = number
            return self.renew(name)
        if lease.get("until", 0.0) > self.now():
            return False
        if not self.store.create(_place(name, number + 1), self._write()):
            return False
        self._held[name] = number + 1
        return True

    def renew(self, name: str) -> bool:
        """Hold a lease for longer; False where somebody else has taken it over."""
        number = self._held.get(name)
        if number is None or self._newest(name) != number:
            self._held.pop(name, None)
            return False
        self.store.put(_place(name, number), self._write())
        return True

    def release(self, name: str) -> None:
        """Let a lease go, where it is held."""
        if self._held.pop(name, None) is None:
            return
        for each in self.store.names(LEASE):
            if each.startswith(name + "."):
                self.store.delete(each)

    def release_all(self) -> None:
        """Let everything go that is held."""
        for name in list(self._held):
            self.release(name)

    def _newest(self, name: str) -> int:
        """The number of the newest lease; 0 where there is none."""
        found = (each for each in self.store.names(LEASE) if each.startswith(name + "."))
        return max((int(each.split(".")[-2]) for each in found), default=0)

    def _write(self) -> bytes:
        return orjson.dumps({"holder": self.holder, "until": self.now() + HELD_S})


def _place(name: str, number: int) -> str:
    return f"{name}.{number}{LEASE}"
