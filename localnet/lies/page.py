"""A run's tables, on a terminal and as a page of the docs."""

from collections.abc import Sequence
from pathlib import Path

from localnet.lies.absence import Absence
from localnet.lies.rows import COLUMNS, DRAWS, show_row
from localnet.lies.run import Result
from localnet.provision import TOKEN
from node.output import Output

PAGE = """# Lies in a running market

<!-- generated: `{command}` -->

Six auctioned services in one local market: anvil, the nodes' own command lines, sealed orders,
clearings, sessions, requests through the gateway, claims. In five of them a supplier and a buyer
lie, in every epoch and each in its own way, beside two truthful suppliers and a truthful buyer. The
liars are stock nodes whose settings lie. {epochs} epochs were served, {claims} claims paid,
{paid:.2f} tokens in all.

*What is claimed*: within an epoch no report of price or quantity beats the truth, whatever the
others say and whatever the public order is. Across epochs a report moves later prices, by a bounded
step; so no plan gains more than the truth's quantity times the range of prices within reach, summed
over the epochs, and what rounding hides. That bound is computed from the first price, the fee and
the number of epochs, before anything is said. A second identity is not covered where a queue for
too little supply is drawn ([why](pricing.md#the-spot-market)).

*What is measured*: each round as it was against the same round with the truth in the lie's place,
cleared again by the contract's rule with the seed that the chain drew. *Most within an epoch* is at
the price that was posted, all that was sold being used; *over public orders* is the same in the
mean over {draws} orders that were not drawn, which matters for second identities only. *Across
epochs* compares with a truth told in all epochs, at the prices which that would have led to. *As
paid* is what the chain charged and paid, against that truth used as much as the truthful buyer used
what it had won ({shares}): relays are lumps, so a slice is never used to its end. Whole tokens an
epoch; intervals are of 95 % over the epochs (Student's t). Prices of asks are before the shares of
source, gateway and protocol, as asks are.

"""
ABSENCE = """
## Who sells and does not serve

In the sixth service the two tell the truth, and another supplier asks least, sells, and fails
whatever it is asked. Of an epoch, in tokens:

| | |
|---|---|
"""
FOOT = """
A lie about the price that changes nothing costs nothing; one that changes the allocation loses the
difference. What is not covered: two suppliers of one owner where the dearer stands next in line,
several epochs of a demand that hardly falls with the price, and sellers that do not serve, who lose
only what serving would have earned.
"""


def print_result(result: Result, output: Output) -> None:
    """Show the tables and what holds."""
    cells = [show_row(row, TOKEN) for row in result.rows]
    output.table("what each lie came to, tokens an epoch", COLUMNS, cells)
    output.table("who sells and does not serve, an epoch", ("", ""), show_absence(result.absence))
    for what, holds in result.checks.items():
        output.line(f"{'yes' if holds else 'NO '}  {what}")
    for each in result.differences:
        output.line(f"     {each}")


def show_absence(found: Absence) -> list[tuple[str, str]]:
    """The figures of an absence with what they are."""
    money = {
        "paid to it": found.paid,
        "what serving would have earned it above its ask": found.forgone,
        "stake that its ask has to have behind it, for three epochs": found.bound_stake,
        "charged at once to its buyers for those units": found.charged,
        "what its buyers lost, that charge included": found.buyers_lost,
        "what the other suppliers would have earned more without it": found.rivals_lost,
    }
    units = ("units sold, of all procured", f"{found.sold:.1f} of {found.procured:.1f}")
    return [units, *((what, f"{each / TOKEN:.4f}") for what, each in money.items())]


def write_page(result: Result, seed: int, page: Path) -> None:
    """Write the tables as Markdown."""
    epochs = len(result.epochs)
    head = PAGE.format(
        command=f"python -m localnet.lies --epochs {epochs} --seed {seed} --page {page}",
        epochs=epochs,
        claims=result.claims,
        paid=result.paid / TOKEN,
        draws=f"{DRAWS:,}",
        shares=f"{min(result.shares):.0%} to {max(result.shares):.0%} of it by epoch",
    )
    table = [COLUMNS, ("---",) * len(COLUMNS), *(show_row(row, TOKEN) for row in result.rows)]
    page.write_text(head + _lines(table) + ABSENCE + _lines(show_absence(result.absence)) + FOOT)


def _lines(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
