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
