"""Suppliers that the operator does not want asked, whatever session they are drawn for."""

import time

from sqlmodel import Field, SQLModel, select

from gateway.access.audit_log import COMMAND_LINE, note
from gateway.access.database import Database
from relay_mining import Address


class DeniedSupplier(SQLModel, table=True):
    """One row a supplier."""

    __tablename__ = "denied_supplier"

    supplier: str = Field(primary_key=True)
    """0x and 40 hex digits."""
    reason: str
    denied_at: int


class DenyList:
    """The table of denied suppliers, for the command line and a look now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def deny(self, supplier: Address, reason: str) -> None:
        """Add a supplier, or change why."""
        row = DeniedSupplier(
            supplier="0x" + supplier.hex(), reason=reason, denied_at=int(time.time())
        )
        with self._database.session() as session:
            session.merge(row)
            note(session, COMMAND_LINE, "deny supplier", row.supplier, {"reason": reason})
            session.commit()

    def allow(self, supplier: Address) -> bool:
        """Take a supplier off; whether it was on."""
        with self._database.session() as session:
            row = session.get(DeniedSupplier, "0x" + supplier.hex())
            if row is not None:
                session.delete(row)
                note(session, COMMAND_LINE, "allow supplier", row.supplier)
                session.commit()
            return row is not None

    def rows(self) -> dict[Address, str]:
        """The denied suppliers, and why."""
        with self._database.session() as session:
            rows = session.exec(select(DeniedSupplier)).all()
            return {bytes.fromhex(each.supplier[2:]): each.reason for each in rows}
