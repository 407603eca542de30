"""What an engine of each kind can do with many requests at once, read from its settings. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from supplier.engines.spec import Task
from supplier.settings import EngineSettings

EMBEDDED_SLOTS = 16
SLOTS_FLAG, POLICY_FLAG = "--max-num-seqs", "--scheduling-policy"


@dataclass(frozen=True, slots=True)
class Capacity:
    """How an engine takes requests."""

    slots: int | None
    """Requests it works on at once; None where it does not say."""
    is_bound: bool
    """Whether it refuses more, so that no more may be sent."""
    preempts: bool
    """Whether an urgent request takes the place of one that is not, to the last bit unnoticed."""
    takes_priorities: bool
    """Whether it reads `priority` in a request, lower first."""


def read_capacity(settings: EngineSettings, task: Task) -> Capacity:
    """The capacity of the engine in the settings, which runs a model for `task`.

    The embedded engine has 16 slots unless told otherwise, and preempts what it generates. A vLLM
    has as many as its flag says, and an order of its own where its flag says so. Of one at a URL
    nothing is known.
    """
    if settings.url is not None:
        return Capacity(None, is_bound=False, preempts=False, takes_priorities=False)
    slots = _read_flag(settings.arguments, SLOTS_FLAG)
    stated = int(slots) if slots.isdecimal() and int(slots) else None
    if settings.kind == "embedded":
        places = EMBEDDED_SLOTS if stated is None else stated
        generates = task == "generate"
        return Capacity(places, is_bound=True, preempts=generates, takes_priorities=generates)
    has_priorities = _read_flag(settings.arguments, POLICY_FLAG) == "priority"
    return Capacity(stated, is_bound=False, preempts=False, takes_priorities=has_priorities)


def _read_flag(arguments: Sequence[str], flag: str) -> str:
    """The value of a flag's last mention, as `--flag value` or `--flag=value`; "" without."""
    found = ""
    for index, word in enumerate(arguments):
        if word == flag:
            found = arguments[index + 1] if index + 1 < len(arguments) else ""
        elif word.startswith(flag + "="):
            found = word[len(flag) + 1 :]
    return found
