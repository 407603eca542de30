"""A file as an answer: read a piece at a time beside the loop, sent at the client's pace."""

import asyncio
import os
from typing import BinaryIO

from gateway.api.clients import Writer
from gateway.routing.relaying import Call

PIECE_BYTES = 1 << 20
"""Of a file, in memory at a time."""


async def send_file(call: Call, file: BinaryIO) -> Writer:
    """Answer with an open file, which is closed then; raises ClientDisconnected."""
    with file:
        size = os.fstat(file.fileno()).st_size
        headers = ((b"content-length", b"%d" % size), *call.answer_headers)
        writer = call.client.respond_stream(200, headers, b"application/octet-stream")
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            await writer.write(piece)
        await writer.close()
    return writer
