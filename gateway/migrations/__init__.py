"""The versions of the gateway's tables."""

from pathlib import Path

from sqlalchemy import Inspector

from node.migrations import Lineage


def _find_unversioned(seen: Inspector) -> str | None:
    return "keys" if seen.has_table("api_key") else None


LINEAGE = Lineage(
    Path(__file__).parent / "versions", "projects", _find_unversioned, lock=0x6C6F6465
)

__all__ = ["LINEAGE"]
