"""A supplier that sends another body than the one it hashed and signed; of plain answers.

python -m adversaries.tamperer --config supplier.toml
"""

from dataclasses import replace

from adversaries.cheat import Cheat, Line
from adversaries.program import serve
from adversaries.relays import CheatingRelays
from node.http import Request, Response, StreamWriter
from supplier.server.serving import OpenRelay

CHEAT = Cheat(
    name="tampered answer",
    side="supplier",
    does="sends a body that is not the one its signature is for",
    line=Line.GATEWAY,
    check="not acceptable",
)


class TamperingRelays(CheatingRelays):
    """Appends to a plain answer after it was signed."""

    async def serve(
        self, request: Request, open_relay: OpenRelay, is_stream: bool
    ) -> Response | StreamWriter:
        """The signed answer, one byte longer."""
        answer = await super().serve(request, open_relay, is_stream)
        if isinstance(answer, Response) and answer.status == 200:
            return replace(answer, body=answer.body + b"\n")
        return answer


if __name__ == "__main__":
    serve(relays=TamperingRelays)
