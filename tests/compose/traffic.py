"""Requests at a steady pace beside a test, and what came of them."""

import asyncio
import threading
from types import TracebackType

from localnet.load import Load, Tally
from localnet.provision import MODEL
from localnet.steady import SteadyLoad

END_S_MAX = 90.0


class Traffic:
    """`with Traffic(url, key) as traffic` sends until its end, and then waits for what is due."""

    def __init__(self, base_url: str, api_key: str, rate: float = 4.0) -> None:
        self._steady = SteadyLoad(Load(base_url, api_key, MODEL), rate)
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def tally(self) -> Tally:
        """What came of all requests so far."""
        return self._steady.tally

    @property
    def in_flight(self) -> int:
        """Requests without an answer yet."""
        return self._steady.in_flight

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(END_S_MAX)
        assert not self._thread.is_alive(), "requests are open still"

    def _run(self) -> None:
        self._loop.run_until_complete(self._steady.run(self._stop, lambda line: None))
        self._loop.close()
