"""How much the files of many owners may take, and whose go first; pure."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Room:
    """Sizes in bytes of files, by their owner and in the order they came.

    Beyond `owner_max` an owner's oldest go; beyond `total_max` the oldest of whoever has the most.
    """

    owner_max: int
    total_max: int
    total: int = 0
    _files: dict[str, dict[str, int]] = field(default_factory=dict)
    _taken: dict[str, int] = field(default_factory=dict)

    def add(self, owner: str, name: str, size: int) -> list[str]:
        """Count a new file; returns the names that go, never its own."""
        self._files.setdefault(owner, {})[name] = size
        self._change(owner, size)
        gone = []
        while self._taken[owner] > self.owner_max and len(self._files[owner]) > 1:
            gone.append(self._drop_oldest(owner))
        while self.total > self.total_max:
            others = [each for each in self._files if next(iter(self._files[each])) != name]
            if not others:
                break
            gone.append(self._drop_oldest(max(others, key=self._taken.__getitem__)))
        return gone

    def remove(self, owner: str, name: str) -> None:
        """Count a file no more."""
        size = self._files.get(owner, {}).pop(name, None)
        if size is None:
            return
        self._change(owner, -size)
        if not self._files[owner]:
            del self._files[owner], self._taken[owner]

    def _drop_oldest(self, owner: str) -> str:
        name = next(iter(self._files[owner]))
        self.remove(owner, name)
        return name

    def _change(self, owner: str, size: int) -> None:
        self._taken[owner] = self._taken.get(owner, 0) + size
        self.total += size
