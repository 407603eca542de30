"""What is fuzzed: good bytes to begin with, and what may come of bytes near them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One parser or verifier.

    `run` says whether it accepted its input, and fails on any answer or exception that is neither
    that nor the refusal its contract names.
    """

    name: str
    corpus: tuple[bytes, ...]
    run: Callable[[bytes], bool]


def reads(read: Callable[[bytes], object], *refusals: type[Exception]) -> Callable[[bytes], bool]:
    """A `run` of what may read its input or raise one of `refusals`, and nothing else."""

    def run(data: bytes) -> bool:
        try:
            read(data)
        except refusals:
            return False
        return True

    return run
