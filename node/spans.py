"""Spans of time as people type them."""

import re

SECONDS = {"d": 86_400, "h": 3_600, "m": 60}


def read_span(text: str) -> int | None:
    """Seconds of `30d`, `12h` or `90m`; None for anything else."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([dhm])", text)
    return None if match is None else int(match[1]) * SECONDS[match[2]]
