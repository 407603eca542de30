"""The control plane's server, inside the gateway's loop."""

import asyncio
import socket
from collections.abc import (
    Iterator,
)
from contextlib import contextmanager

import uvicorn

from gateway.control import create_control
from gateway.dashboard import Board
from gateway.parts import Node
from gateway.settings import Settings


class ControlServer(uvicorn.Server):
    """Uvicorn inside the gateway's loop; signals are the gateway's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and tell whoever waits for it."""
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.servers[0].sockets[0].getsockname()[1])


async def start_control(node: Node, board: Board, tasks: asyncio.TaskGroup) -> ControlServer:
    """Start the control plane and return once it listens."""
    control = node.settings.control
    app = create_control(
        node.keys, node.accounts, node.application, node.registry, node.status,
        node.suppliers.all, admin_token(node.settings), board.site,
    )  # fmt: skip
    config = uvicorn.Config(
        app, control.host, control.port, log_config=None, access_log=False, lifespan="off"
    )
    server = ControlServer(config)
    task = tasks.create_task(server.serve())
    listening = asyncio.ensure_future(server.listening.wait())
    await asyncio.wait({listening, task}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    return server


def admin_token(settings: Settings) -> str | None:
    """What opens the control plane; None leaves it closed."""
    token = settings.control.admin_token
    return token.get_secret_value() if token else None
