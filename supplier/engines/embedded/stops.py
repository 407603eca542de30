"""Finds stop strings in text that arrives in pieces."""

from dataclasses import dataclass

__all__ = ["StopMatch", "StopMatcher"]


@dataclass(frozen=True, slots=True)
class StopMatch:
    """What may be given out, and the stop string that ended the text, if one did."""

    text: str
    stop: str | None = None


class StopMatcher:
    """Holds back the shortest tail that may yet become a stop string."""

    def __init__(self, stops: tuple[str, ...], *, include: bool = False) -> None:
        self._stops = stops
        self._include = include
        self._held = ""

    def push(self, text: str) -> StopMatch:
        """Return the text that is certain; after a match nothing more may be pushed."""
        if not self._stops:
            return StopMatch(text)
        joined = self._held + text
        found = [(joined.find(stop), -len(stop), stop) for stop in self._stops if stop in joined]
        if found:
            start, _, stop = min(found)
            return StopMatch(joined[: start + (len(stop) if self._include else 0)], stop)
        held = max(_count_overlap(joined, stop) for stop in self._stops)
        self._held = joined[len(joined) - held :]
        return StopMatch(joined[: len(joined) - held])

    def finish(self) -> str:
        """Return what was held back and turned out to be text."""
        held, self._held = self._held, ""
        return held


def _count_overlap(text: str, stop: str) -> int:
    """Return the length of the longest proper prefix of `stop` that ends `text`."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
