"""What an operator wants to know of each balance: where it is, until when, what frees it."""

from dataclasses import dataclass

TOKEN, WEI = "token base units", "wei"


@dataclass(frozen=True, slots=True)
class Holding:
    """One balance."""

    where: str
    amount: int
    unit: str
    until: str
    """When it can be had, or is lost; empty where it is there now."""
    frees: str
    """What brings it home: a command, or whose turn it is."""
