"""What a key or a project has spent, and what its requests may still add; pure.

Money is counted in millionths of a token base unit: compute units times the price of a million of
them, which no division rounds. Days and months are UTC's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

MILLIONTHS = 10**6
DAY_S = 86_400


@dataclass(slots=True)
class Spending:
    """The money of a key or a project, in millionths of a token base unit."""

    today: int = 0
    this_month: int = 0
    reserved: int = 0
    """What the requests in flight may cost at most."""
    day_ends: int = 0
    """Unix seconds at which `today` starts again from nothing."""
    month_ends: int = 0

    def turn(self, now: int) -> None:
        """Begin a new day or month where `now`, in Unix seconds, is in one.

        After a clock was ahead, what was spent meanwhile counts for the day and month it is in.
        """
        if 0 < self.day_ends - now <= DAY_S:
            return
        if now >= self.day_ends:
            self.today = 0
        if now >= self.month_ends:
            self.this_month = 0
        self.day_ends, self.month_ends = end_of_day(now), end_of_month(now)

    def charge(self, cost: int, now: int) -> None:
        """Spend; a negative cost is money back, of which no more comes back than was spent."""
        self.turn(now)
        self.today = max(0, self.today + cost)
        self.this_month = max(0, self.this_month + cost)

    def add(self, other: "Spending", now: int) -> None:
        """Take what another has spent as one's own too."""
        self.turn(now)
        other.turn(now)
        self.today += other.today
        self.this_month += other.this_month

    def shown(self, now: int) -> dict[str, int]:
        """Token base units, each rounded up."""
        self.turn(now)
        return {
            "today": round_up(self.today),
            "this_month": round_up(self.this_month),
            "reserved": round_up(self.reserved),
        }


def round_up(cost: int) -> int:
    """Token base units that cover a cost in millionths."""
    return -(-cost // MILLIONTHS)


def end_of_day(now: int) -> int:
    """The first second of the next UTC day, in Unix seconds."""
    return (now // DAY_S + 1) * DAY_S


def end_of_month(now: int) -> int:
    """The first second of the next UTC month, in Unix seconds."""
    date = datetime.fromtimestamp(now, UTC)
    year, month = divmod(date.year * 12 + date.month, 12)  # months from 0: the next one's number
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp())
