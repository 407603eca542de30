"""The rows of the cheats' table: made from evidence, shown on a terminal, written as a page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table

from adversaries.cheat import Cheat, Finding, Line
from localnet.cheat_chances import Chances, pool, weigh
from localnet.cheat_evidence import Answers, Fate
from relay_mining import UNITS_PER_PRICE

NO_DRAW = Chances((), 0, 0.0)
LUCK_MIN = 1e-3
"""A run luckier for the cheat than this is not luck."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one cheat came to; `gained` in token base units, beyond honest work."""

    module: str
    name: str
    side: str
    did: str
    caught_by: str
    after: str
    gained: int
    cost: str
    """What it cost others."""
    is_as_promised: bool
    chances: Chances = NO_DRAW
    """Where a draw decides: claims caught, as predicted and as measured."""
    audited: float = 0.0
    """Where audits decide: how likely they were to catch it within the answers that it took."""
    exposed: int = 0
    """Those answers."""

    def odds(self, unit: int) -> str:
        """Prediction and measurement, where chance decides; gains in tokens of `unit`."""
        if not self.audited:
            return self.chances.show(unit)
        return f"{self.audited:.0%} within {self.exposed} plain answers, which it took"

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Prices:
    """Base units a million compute units, and the margin of the challenge in basis points."""

    unit: int
    margin_bps: int

    def value(self, units: int) -> int:
        """What units are worth, rounded down."""
        return units * self.unit // UNITS_PER_PRICE


def claim_row(
    module: str,
    cheat: Cheat,
    fates: Sequence[Fate],
    refusals: Mapping[str, int],
    payable: Mapping[str, int],
    prices: Prices,
) -> Row:
    """The row of a supplier that cheats in its claims; `payable` units by session id in hex."""
    honest = [
        min(payable.get(each.claim.session.id.hex(), 0), each.claim.root.sum) for each in fates
    ]
    chances = weigh(cheat, fates, honest, prices.margin_bps)
    voided = [each for each in fates if each.slashed]
    paid = sum(each.paid for each in fates)
    slashed = sum(each.slashed for each in voided)
    met = sorted(set(refusals) & set(cheat.check.split("|")))
    return Row(
        module=module,
        name=cheat.name,
        side=cheat.side,
        did=cheat.does,
        caught_by=f"challenge: {', '.join(met)}; claim void" if met else "nobody in this run",
        after=f"{max(each.ended - each.made for each in voided)} blocks" if voided else "",
        chances=chances,
        gained=paid - sum(prices.value(units) for units in honest) - slashed,
        cost="none; the bonds went to the application" if voided else "",
        is_as_promised=bool(fates)
        and chances.expected_gain <= 0
        and chances.luck >= LUCK_MIN
        and (bool(met) or not voided),
    )


def answer_row(
    module: str, cheat: Cheat, answers: Answers, honest_units: int, prices: Prices, share: float
) -> Row:
    """The row of a supplier that cheats in its answers, of which a `share` is audited."""
    beyond = answers.receipted - honest_units
    gained = prices.value(beyond) if beyond > 0 else -prices.value(-beyond)
    seen = _seen(cheat, answers)
    return Row(
        module=module,
        name=cheat.name,
        side=cheat.side,
        did=cheat.does,
        caught_by=seen or "nobody in this run",
        after=f"{answers.caught - answers.began} s" if seen else "",
        gained=gained,
        cost=f"{answers.faults} of {answers.tries} tries made elsewhere" if answers.faults else "",
        is_as_promised=answers.tries > 0 and bool(seen),
        audited=1 - (1 - share) ** answers.exposed if cheat.line is Line.AUDIT and seen else 0.0,
        exposed=answers.exposed,
    )


def client_row(module: str, cheat: Cheat, answers: Answers, prices: Prices) -> Row:
    """The row of a client that leaves: what it was sent, and what of it was receipted.

    What a supplier over-claims was not sent.
    """
    sent = answers.served - answers.overclaimed
    free = sent - answers.receipted
    return Row(
        module=module,
        name=cheat.name,
        side=cheat.side,
        did=cheat.does,
        caught_by=f"gateway's Cancel: {answers.aborts} prefixes signed as {cheat.check}",
        after="at once",
        gained=prices.value(free),
        cost=f"none: {answers.receipted} of {sent} CU receipted",
        is_as_promised=answers.aborts > 0 and free == 0,
    )


def finding_row(module: str, found: Finding) -> Row:
    """The row of a cheat that was played from a script."""
    cheat = found.cheat
    return Row(
        module=module,
        name=cheat.name,
        side=cheat.side,
        did=cheat.does,
        caught_by=found.met,
        after=found.after,
        gained=found.gained,
        cost=found.cost,
        is_as_promised=found.is_as_promised,
    )


def _seen(cheat: Cheat, answers: Answers) -> str:
    if cheat.line is Line.RECOUNT and answers.overclaims:
        return "gateway's recount: signed over-claim kept as evidence, supplier dropped"
    if cheat.line is Line.AUDIT and answers.doubts:
        return f"gateway's audit: {cheat.check} by two others {answers.doubts} times; set aside"
    matching = [each for each in answers.details if cheat.check and cheat.check in each]
    return f"gateway's check: {matching[0]}; set aside" if matching else ""


def show_rows(rows: Sequence[Row], unit: int) -> Table:
    """The table of a terminal; gains in whole tokens of `unit` base units."""
    table = Table(title="what each cheat came to", box=box.SIMPLE_HEAD)
    for name in ("cheat", "caught by", "after", "predicted; measured", "gained", "cost others"):
        table.add_column(name, overflow="fold")
    for row in rows:
        mark = "" if row.is_as_promised else "[red]NOT AS PROMISED[/] "
        table.add_row(
            row.name, mark + row.caught_by, row.after, row.odds(unit),
            f"{row.gained / unit:,.6f}", row.cost,
        )  # fmt: skip
    return table


COLUMNS = (
    "adversary", "cheat", "side", "what it did", "caught by", "after", "predicted; measured",
    "gained", "cost others",
)  # fmt: skip
PAGE = """# The cheats

<!-- generated: `make demo-cheats ARGS="--page docs/cheats.md"` -->

Each row is a real adversary of `adversaries/` that ran in one local market beside honest nodes:
anvil, real signatures, real sockets. `make demo-cheats` runs them again.

*Caught by* is what was found afterwards in the contract's errors, the gateway's usage log or the
refusal itself. *Gained* is in whole test tokens beyond honest work, everything lost deducted. Where
a draw decides, the claims caught are given as predicted (with one standard deviation) and as
measured; then the share caught, predicted, and the interval of 95 % that the measured one leaves
(Wilson's); then what these claims gain in the mean of all draws. One run may be lucky; no mean is
above zero. The exact formulas over every share and bond are in [simulations](simulations.md), what
withholding gateways take in [bounded loss](credit-simulated.md). Where audits decide, each plain
answer is repeated with one chance in four, and what is given is how likely that was to happen
within the answers after which it did.

One thing pays a little until it is noticed: an answer that is made up, signed and counted right.
No proof shows it to the chain, so nothing is slashed; whoever is contradicted by two others loses
the traffic instead, for longer each time, after about as many answers as one in the gateway's share
of audits.

"""


def write_page(rows: Sequence[Row], unit: int) -> str:
    """The page as Markdown."""
    lines = (
        (
            f"`{row.module}`", row.name, row.side, row.did, row.caught_by, row.after,
            row.odds(unit), f"{row.gained / unit:,.6f}", row.cost,
        )
        for row in rows
    )  # fmt: skip
    table = [COLUMNS, ("---",) * len(COLUMNS), *lines]
    together = pool([row.chances for row in rows])
    foot = (
        f"\nAll claims under a draw together: {together.show(unit)}.\n" if together.escapes else ""
    )
    return PAGE + "".join(f"| {' | '.join(line)} |\n" for line in table) + foot
