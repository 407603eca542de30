"""What a run left behind of each cheat: its own log, the gateway's usage lines, the chain's events.

Nothing here asks an adversary what it thinks: refusals are read where they were met, verdicts where
they were given.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from adversaries.relays import HONEST_EVENT
from contracts import ClaimAccepted, ClaimPaid, ClaimVoided, Event, decode_outcome
from gateway.routing.auditing import CONTRADICTED
from relay_mining import Address, Claim, Hash32

REFUSED = re.compile(r"^Prove failed: (\w+)")
FAULTS = frozenset({"broken", "invalid", "timeout"})
"""Dispositions of the usage log that are a supplier's fault."""


@dataclass(slots=True)
class Fate:
    """One claim; blocks, and token base units."""

    claim: Claim
    made: int
    ended: int = 0
    """0 while it is open."""
    paid: int = 0
    """To everybody together."""
    slashed: int = 0


@dataclass(slots=True)
class ChainRecord:
    """Every claim and what became of it."""

    fates: dict[Hash32, Fate] = field(default_factory=dict)

    def fold(self, events: Iterable[Event]) -> None:
        """Take in events in their order."""
        for event in events:
            match decode_outcome(event):
                case ClaimAccepted(claim):
                    self.fates[claim.id] = Fate(claim, event.block_number)
                case ClaimPaid() as paid:
                    fate = self.fates[paid.claim_id]
                    fate.ended = event.block_number
                    fate.paid = (
                        paid.supplier_share
                        + paid.source_share
                        + paid.gateway_share
                        + paid.protocol_share
                    )
                case ClaimVoided(claim_id, bond):
                    fate = self.fates[claim_id]
                    fate.ended, fate.slashed = event.block_number, bond
                case _:
                    continue

    def of(self, supplier: Address) -> list[Fate]:
        """The claims of a supplier."""
        return [each for each in self.fates.values() if each.claim.supplier == supplier]


@dataclass(slots=True)
class Answers:
    """What the gateway saw of one supplier, or did for one key; times in Unix seconds."""

    tries: int = 0
    faults: int = 0
    """Tries that failed by the supplier's fault; each was tried elsewhere or ended a stream."""
    aborts: int = 0
    """Answers whose client left."""
    overclaims: int = 0
    served: int = 0
    """Units as the suppliers signed them."""
    receipted: int = 0
    overclaimed: int = 0
    """Units that suppliers signed beyond what was counted, and nobody is receipted."""
    began: int = 0
    caught: int = 0
    """When the first fault, over-claim or, where there is one, contradiction was seen; 0: never."""
    doubts: int = 0
    """Audits in which two others contradicted it."""
    details: Counter[str] = field(default_factory=Counter)
    plain: list[int] = field(default_factory=list)
    """When clients were given plain answers, each of which may have been asked for again."""

    @property
    def exposed(self) -> int:
        """Plain answers until it was caught, that second's included; all, where it was not."""
        return sum(not self.caught or each <= self.caught for each in self.plain)

    def take(self, line: dict[str, Any]) -> None:
        """Count one line of the usage log."""
        self.began = self.began or line["time"]
        if line["kind"] == "recount":
            self.receipted += line["units_receipted"]
            is_bad = line["disposition"] == "overclaim"
            self.overclaims += is_bad
            self.overclaimed += is_bad * (line["units"] - line["units_receipted"])
        else:
            self.tries += 1
            self.aborts += line["disposition"] == "client_abort"
            self.served += line["units"]
            if line["disposition"] == "ok" and line["is_answer"] and not line["is_stream"]:
                self.plain.append(line["time"])
            is_bad = line["disposition"] in FAULTS
            self.faults += is_bad
            if is_bad:
                self.details[line["detail"]] += 1
        if is_bad:
            self.caught = self.caught or line["time"]


def read_answers(records: Iterable[bytes]) -> dict[str, Answers]:
    """What the records of a usage log say, by supplier (0x and hex) and by the id of the key."""
    found: dict[str, Answers] = defaultdict(Answers)
    for record in records:
        for line in orjson.loads(record):
            if line["kind"] in ("try", "recount"):
                found[line["supplier"]].take(line)
                found[line["key"]].take(line)
    return found


def add_doubts(answers: dict[str, Answers], log: Path) -> None:
    """Take in what the gateway's audits found, by its own log."""
    for line in _lines(log):
        if line["event"] == CONTRADICTED:
            found = answers[line["supplier"]]
            if not found.doubts:
                found.caught = int(datetime.fromisoformat(line["time"]).timestamp())
            found.doubts += 1


def read_refusals(log: Path) -> Counter[str]:
    """The contract's errors that a supplier's proofs met, with how often."""
    events = (line.get("event", "") for line in _lines(log))
    return Counter(match[1] for event in events if (match := REFUSED.match(event)))


def read_honest_units(log: Path) -> int:
    """What the work of a supplier that lies to its gateway is worth, by its own note, in units."""
    return sum(line["honest_units"] for line in _lines(log) if line["event"] == HONEST_EVENT)


def _lines(log: Path) -> Iterator[dict[str, Any]]:
    *whole, _ = log.read_bytes().split(b"\n")  # the node may be writing the last one
    for raw in whole:
        if raw.startswith(b"{"):
            line: dict[str, Any] = orjson.loads(raw)
            yield line
