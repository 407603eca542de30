"""The versions of the supplier's tables, those that people look at; see `supplier.mining.store`."""

from pathlib import Path

from sqlalchemy import Inspector

from node.migrations import Lineage


def _find_unversioned(seen: Inspector) -> str | None:
    """They were there before versions were, and had been added to once."""
    if not seen.has_table("supplier_session"):
        return None
    columns = {each["name"] for each in seen.get_columns("supplier_session")}
    return "reasons" if "closed_at" in columns else "funnel"


LINEAGE = Lineage(Path(__file__).parent / "versions", "engines", _find_unversioned, lock=0x10DC)

__all__ = ["LINEAGE"]
