"""A supplier that says that every answer was cut for its length, or was not; of plain answers.

python -m adversaries.mislabeller --config supplier.toml
"""

from dataclasses import replace
from typing import Any

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from adversaries.relays import CheatingRelays, LyingPool
from node.http import ClientResponse

SWAPPED = {
    b'"finish_reason":"stop"': b'"finish_reason":"length"',
    b'"finish_reason":"length"': b'"finish_reason":"stop"',
}
CHEAT = Cheat(
    name="wrong finish reason",
    side="supplier",
    does="says `length` for answers that stopped, and `stop` for those that were cut",
    line=Line.AUDIT,
    check="contradicted",
)


class MislabellingPool(LyingPool):
    """Swaps the finish reasons."""

    async def request(self, *arguments: Any, **options: Any) -> ClientResponse:
        """The engine's answer with another reason for its end."""
        answer = await super().request(*arguments, **options)
        for true, false in SWAPPED.items():
            if true in answer.body:
                return replace(answer, body=answer.body.replace(true, false))
        return answer


class MislabellingRelays(CheatingRelays):
    """Asks the engine through a pool that mislabels."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        self.pool = MislabellingPool(self.pool)


if __name__ == "__main__":
    serve(relays=MislabellingRelays)
