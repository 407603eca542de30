"""A supplier that says it has less, or asks for more, judged by what it can claim of the sessions.

An epoch's roster is only as truthful as the slices that its sessions give. Two rules are held side
by side over the same draws: the one the market has, a member's slice by what its units cost, and a
control, an even K-th of the cap for each of K members drawn by units. A lie is searched on some
seeds and judged on others, for a lie that was lucky with the draws has shown nothing.
"""

from collections.abc import Callable
from random import Random
from statistics import mean, stdev

from matplotlib.figure import Figure

from pricing import EpochOutcome, Order, clear_epoch
from relay_mining import (
    RosterEntry,
    Shares,
    draw_members,
    draw_shares,
    share_evenly,
    weigh_by_cost,
)
from simulations.report import Cell, Table
from simulations.strategies.lies import lies
from simulations.strategies.world import FEE_BPS, PRICE_SCALE, QUANTITY_MAX, World, draw_world, say

MEMBERS = 5
SESSIONS = 12
SUPPLIERS = (1, 2, 5, 9)
BUYERS = 4
Z = 1.96

Rule = Callable[[tuple[RosterEntry, ...], bytes, bytes], Shares]


def by_cost(sold: tuple[RosterEntry, ...], seed: bytes, session: bytes) -> Shares:
    """The market's rule."""
    return draw_shares(weigh_by_cost(sold), seed, session, MEMBERS)


def evenly(sold: tuple[RosterEntry, ...], seed: bytes, session: bytes) -> Shares:
    """The control: as where asks are posted."""
    return share_evenly(draw_members(sold, seed, session, MEMBERS), MEMBERS)


RULES: dict[str, Rule] = {"by cost": by_cost, "evenly": evenly}


def claimable(outcome: EpochOutcome, rule: Rule, draws: int) -> dict[bytes, int]:
    """What each supplier can claim of an epoch's sessions, all buyers using all they can."""
    sold = tuple(
        RosterEntry(line.supplier.ljust(20, b"\0"), line.unit_price, line.units)
        for line in outcome.roster
    )
    found = dict.fromkeys((line.supplier for line in outcome.roster), 0)
    for number in range(SESSIONS):
        seed = (draws << 32 | number).to_bytes(32, "big")
        for fill in outcome.fills:
            shares = rule(sold, seed, fill.application.ljust(32, b"\0"))
            for member in shares.members:
                supplier = outcome.roster[member.index].supplier
                found[supplier] += shares.slice(fill.claims // SESSIONS, member)
    return found


def profit(world: World, truth: Order, said: Order, rule: Rule, draws: int) -> float:
    """What a supplier earns above its cost, serving no more than it has."""
    outcome = clear_epoch(say(world.book, said), world.price, FEE_BPS, world.seeds[0])
    for line in outcome.roster:
        if line.supplier == truth.trader:
            most = claimable(outcome, rule, draws)[truth.trader] / line.unit_price
            return min(most, truth.quantity) * (line.unit_price - truth.price)
    return 0.0


def usable(world: World, rule: Rule, draws: int) -> float:
    """The part of what buyers may claim for that some supplier's slice lets them use."""
    outcome = clear_epoch(world.book, world.price, FEE_BPS, world.seeds[0])
    caps = sum(fill.claims // SESSIONS * SESSIONS for fill in outcome.fills)
    return sum(claimable(outcome, rule, draws).values()) / caps if caps else 1.0


def found_gain(world: World, truth: Order, rule: Rule) -> float:
    """What the lie that is best on one half of the draws gains on the other."""

    def worth(said: Order, draws: int) -> float:
        return profit(world, truth, said, rule, draws)

    best = max((plan[0] for plan in lies(truth, 1)), key=lambda said: worth(said, 1))
    if worth(best, 1) <= worth(truth, 1):
        return 0.0
    return worth(best, 2) - worth(truth, 2)


def table_of(seed: int, trials: int, advance: Callable[[int], None]) -> Table:
    """Gains and usable capacity by the number of suppliers and the rule."""
    rows: list[tuple[Cell, ...]] = []
    for count in SUPPLIERS:
        for name, rule in RULES.items():
            rng = Random(f"{seed} {count}")
            worlds = [draw_world(rng, 1, suppliers=count, buyers=BUYERS) for _ in range(trials)]
            gains = [
                100 * found_gain(each, each.book.asks[0], rule) / (PRICE_SCALE * QUANTITY_MAX)
                for each in worlds
            ]
            used = mean(usable(each, rule, 3) for each in worlds)
            error = Z * stdev(gains) / trials**0.5
            rows.append((count, name, mean(gains), error, max(gains), 100 * used))
            advance(1)
    return Table(
        "withholding",
        "Slices",
        ("suppliers", "slices", "gain", "± 1.96 s.e.", "largest", "usable, %"),
        tuple(rows),
        f"What one supplier gains by the lie about price, quantity or both that was best on other "
        f"draws, in percent of the highest price times {QUANTITY_MAX} units; and how much of what "
        f"{BUYERS} truthful buyers may claim for they can use. {MEMBERS} members a session, "
        f"{SESSIONS} sessions. `by cost` is the market's rule; `evenly` is a control, a "
        f"{MEMBERS}th of the cap for each member, which pays whoever sells less than that.",
    )


def plot(table: Table) -> Figure:
    """Return what withholding gains under either rule, over the number of suppliers."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name in RULES:
        rows = [row for row in table.rows if row[1] == name]
        gains, errors = [float(row[2]) for row in rows], [float(row[3]) for row in rows]
        axes.errorbar(SUPPLIERS, gains, errors, fmt="o-", label=name)
    axes.set_xlabel("suppliers")
    axes.set_ylabel("gain, % of the highest price times the units")
    axes.legend()
    return figure
