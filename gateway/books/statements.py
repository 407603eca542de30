"""Bills beside each other: nothing is charged twice, and all of it is as their reader expects."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.books.bills import CheckedBill
from gateway.errors import BillError
from relay_mining import Address, Hash32, SessionKey

Terms = tuple[SessionKey, Address, Address, int]
"""A session, a supplier in it, the key that signed for the supplier, and its price."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader of bills knows from elsewhere; what is None or empty may be anything."""

    signer: Address | None = None
    operators: frozenset[Address] = frozenset()
    price_max: int | None = None
    chain_id: int | None = None
    claims_contract: Address | None = None

    def verify(self, bill: CheckedBill) -> None:
        """Raise BillError where a bill is of another deployment, by others, or dearer."""
        if self.chain_id not in (None, bill.domain.chain_id):
            raise BillError(f"it is for chain {bill.domain.chain_id}, not {self.chain_id}")
        if self.claims_contract not in (None, bill.domain.verifying_contract):
            raise BillError("it is for another contract than expected")
        if bill.signer is not None and self.signer not in (None, bill.signer):
            raise BillError("it is signed by another key of a gateway than expected")
        if self.operators and not bill.operators <= self.operators:
            raise BillError("an answer is signed by another key of a supplier than expected")
        price = max((each.price for each in bill.charges), default=0)
        if self.price_max is not None and price > self.price_max:
            raise BillError(f"a price is {price}, more than {self.price_max}")


@dataclass(slots=True)
class Statement:
    """Bills of one deployment that hold, are as expected, and share no relay."""

    expected: Expected
    bills: list[CheckedBill] = field(default_factory=list)
    _relays: set[Hash32] = field(default_factory=set)

    def add(self, bill: CheckedBill) -> None:
        """Take one more bill; raises BillError where it does not go with the others."""
        self.expected.verify(bill)
        if self.bills and bill.domain != self.bills[0].domain:
            raise BillError("it is of another deployment than the bills before")
        relays = {each.request_hash for each in bill.charges}
        if relays & self._relays:
            raise BillError("it charges what a bill before has charged")
        self._relays |= relays
        self.bills.append(bill)

    def sums(self) -> dict[Terms, int]:
        """The units charged on the same terms, the oldest session first."""
        found: Counter[Terms] = Counter()
        for each in (charge for bill in self.bills for charge in bill.charges):
            found[each.session, each.supplier, each.operator, each.price] += each.units
        return dict(sorted(found.items(), key=lambda one: (one[0][0].number, one[0][1:])))
