"""How commands reach the node that serves from the same data directory: a socket in that directory.

Whoever may write there may command it; nobody else can, since it is no port. A request is one line
of JSON; the answer is a line for each step, and a last one that is the end or an error.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson

from contracts import ChainError
from node.errors import OperatorError

CONTROL = "control.sock"
LINE_BYTES_MAX = 64 << 10
PATH_BYTES_MAX = 100
"""Of the 104 to 108 that systems have room for."""

Say = Callable[[str], None]
Do = Callable[[dict[str, Any], Say], Awaitable[None]]
"""Does what a request asks for, saying each step; raises OperatorError or ChainError."""


class Control:
    """The node's end of the socket."""

    def __init__(self, path: Path, commands: dict[str, Do]) -> None:
        self._path = path
        self._commands = commands

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take commands until the block ends; raises OperatorError where there can be no socket."""
        server = await asyncio.start_unix_server(
            self._answer, sock=_bind(self._path), limit=LINE_BYTES_MAX
        )
        try:
            yield
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what one connection asks for, to its end even if nobody listens any more."""

        def say(what: str) -> None:
            writer.write(orjson.dumps({"step": what}) + b"\n")

        end: dict[str, Any] = {"error": "the node failed at it: see its log"}
        try:
            await self._do(await reader.readline(), say)
            end = {"done": True}
        except (OperatorError, ChainError, ValueError) as error:
            end = {"error": str(error)}
        finally:
            with suppress(ConnectionError):
                writer.write(orjson.dumps(end) + b"\n")
                writer.close()

    async def _do(self, line: bytes, say: Say) -> None:
        request = orjson.loads(line)
        command = self._commands.get(str(request.get("do")))
        if command is None:
            raise OperatorError("the node that runs knows no such command: is it of this release?")
        await command(request, say)


def _bind(path: Path) -> socket.socket:
    """A socket that only this user may open, in the place of one left behind."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        with _short(path) as name:
            listener.bind(name)
    except OSError as error:
        listener.close()
        raise OperatorError(f"no control socket at {path}: {error}") from error
    finally:
        os.umask(mask)
    return listener


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the socket that the kernel takes: one that is too long goes by its directory."""
    if len(os.fsencode(path)) <= PATH_BYTES_MAX:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


async def ask_control(data_dir: Path, request: dict[str, Any], say: Say) -> None:
    """Have the node that serves from `data_dir` do something, step by step.

    Raises OperatorError where there is none, or it refuses.
    """
    try:
        with _short(data_dir / CONTROL) as name:
            reader, writer = await asyncio.open_unix_connection(name, limit=LINE_BYTES_MAX)
    except OSError as error:
        raise OperatorError(
            f"no supplier serves from {data_dir}: start `supplier serve`, or mend data_dir"
        ) from error
    try:
        writer.write(orjson.dumps(request) + b"\n")
        async for line in reader:
            answer = orjson.loads(line)
            if "step" in answer:
                say(answer["step"])
            elif "error" in answer:
                raise OperatorError(answer["error"])
            else:
                return
    finally:
        writer.close()
    raise OperatorError("the node ended before it was done: see its log")
