"""What a gateway thinks of a supplier: standing, credit, and where its price ranks."""

from dataclasses import dataclass
from typing import Any

from gateway.books.ledger import Ledger
from gateway.books.totals import SupplierUsage
from gateway.errors import InvalidParameterError
from gateway.routing.sessions import SessionTable
from gateway.routing.standing import Standing
from node.errors import SettingsError
from node.http import Lines
from node.settings import parse_hex
from relay_mining import Address


def read_supplier(name: bytes) -> Address:
    """The supplier of a path's last part; raises InvalidParameterError."""
    try:
        return parse_hex("supplier", name.decode("utf-8", "replace"), 20)
    except SettingsError as error:
        raise InvalidParameterError(str(error), param="supplier") from error


@dataclass(frozen=True, slots=True)
class SupplierView:
    """Reads the books of a running gateway; what it returns is JSON."""

    standing: Standing
    ledger: Ledger
    table: SessionTable
    lines: Lines

    def all(self) -> list[dict[str, Any]]:
        """Every supplier of an open session, and every one that was ever tried or denied."""
        tried = {bytes.fromhex(name[2:]) for name in self.ledger.totals.suppliers}
        known = tried | self._prices().keys() | self.standing.states.keys() | self.standing.denied
        return [self.describe(each) for each in sorted(known)]

    def describe(self, supplier: Address) -> dict[str, Any]:
        """One supplier, with zeros where nothing is known; units of credit, seconds."""
        state, standing = self.standing.peek(supplier), self.standing
        name = "0x" + supplier.hex()
        usage = self.ledger.totals.suppliers.get(name, SupplierUsage())
        return {
            "supplier": name,
            "standing": standing.word(supplier),
            "set_aside_s": max(0.0, round(state.aside_until - standing.clock(), 1)),
            "faults_in_a_row": state.faults,
            "credit_units": standing.credit(supplier),
            "owed_units": state.owed,
            "reserved_units": state.reserved,
            "in_flight": state.in_flight,
            "lines": self.lines.count(supplier.hex()),
            "tries": usage.tries,
            "answers": usage.requests,
            "faults": usage.faults,
            "overclaims": usage.overclaims,
            "units_receipted": usage.units_receipted,
            "prices": self._prices().get(supplier, []),
        }

    def _prices(self) -> dict[Address, list[dict[str, object]]]:
        """By supplier: each open session's price, and its rank there, 1 being the lowest."""
        found: dict[Address, list[dict[str, object]]] = {}
        for (_, model), session in sorted(self.table.sessions.items()):
            prices = sorted(each.terms.price for each in session.members)
            for member in session.members:
                rank = prices.index(member.terms.price) + 1
                found.setdefault(member.supplier, []).append(
                    {"model": model, "price": member.terms.price, "rank": rank, "of": len(prices)}
                )
        return found
