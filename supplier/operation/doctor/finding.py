"""What one look at one precondition found, and what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    SKIPPED = "skipped"
    """It could not be looked at, because of another finding or because nobody asked."""
    WARNING = "warning"
    """It works, and costs money or will stop working."""
    FAILED = "failed"
    """Relays are not served or not paid until it is mended."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One precondition."""

    name: str
    verdict: Verdict
    says: str
    remedy: str = ""
    """Empty where there is nothing to do."""


def ok(name: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(name, Verdict.OK, says)


def skipped(name: str, says: str) -> Finding:
    """It was not looked at, and why."""
    return Finding(name, Verdict.SKIPPED, says)


def warning(name: str, says: str, remedy: str) -> Finding:
    """It works, at a cost."""
    return Finding(name, Verdict.WARNING, says, remedy)


def failed(name: str, says: str, remedy: str) -> Finding:
    """It has to be mended."""
    return Finding(name, Verdict.FAILED, says, remedy)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing has to be mended; warnings pass."""
    return all(each.verdict is not Verdict.FAILED for each in findings)
