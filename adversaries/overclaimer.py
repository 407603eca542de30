"""A supplier that signs more output tokens than it made.

python -m adversaries.overclaimer --config supplier.toml
"""

from dataclasses import replace

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from adversaries.relays import CheatingRelays
from supplier.server.serving import NOTHING, Outcome

EXTRA_TOKENS = 100
CHEAT = Cheat(
    name="inflated token counts",
    side="supplier",
    does=f"signs {EXTRA_TOKENS} output tokens more than it made, within what was reserved",
    line=Line.RECOUNT,
    check="overclaim",
)


class OverclaimingRelays(CheatingRelays):
    """Adds tokens to every response; the units stay within what the request allows."""

    def told(self, outcome: Outcome) -> Outcome:
        """More tokens than there were."""
        if outcome.tokens == NOTHING:
            return outcome
        more = replace(outcome.tokens, output=outcome.tokens.output + EXTRA_TOKENS)
        return replace(outcome, tokens=more)


if __name__ == "__main__":
    serve(relays=OverclaimingRelays)
