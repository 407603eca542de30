"""Everybody uses what it truly needs of what its bids won: requests until a session gives no more.

A worker for each application and book asks through the gateway, as any client does. What it is
refused it tries again, after ever longer, for the session may just be opening or a receipt due.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

ANSWERED = 200
MAX_TOKENS = 4
PAUSE_S = 0.25
PAUSE_S_MAX = 4.0
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Client:
    """One application's use of one book."""

    model: str
    api_key: str
    requests_max: int
    """In a session: what it truly needs."""

    async def run(self, http: httpx.AsyncClient, session: Callable[[], int]) -> None:
        """Ask until cancelled; `session` says which session is running."""
        served, number, pause = 0, -1, PAUSE_S
        while True:
            if session() != number:
                served, number, pause = 0, session(), PAUSE_S
            if served < self.requests_max and await self._ask(http):
                served, pause = served + 1, PAUSE_S
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)

    async def _ask(self, http: httpx.AsyncClient) -> bool:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": MAX_TOKENS,
        }
        headers = {"authorization": f"Bearer {self.api_key}"}
        try:
            answer = await http.post("/chat/completions", json=body, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.status_code == ANSWERED


async def use(base_url: str, clients: list[Client], session: Callable[[], int]) -> None:
    """Run all clients until cancelled."""
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT_S) as http,
        asyncio.TaskGroup() as tasks,
    ):
        for client in clients:
            tasks.create_task(client.run(http, session))
