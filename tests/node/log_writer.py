"""Append to a log until killed, reporting each record's number once it is acknowledged.

Run as `python -m tests.node.log_writer DIRECTORY START`: 16 tasks append concurrently; every
acknowledged number goes to standard output as one line, in one write.
"""

import asyncio
import itertools
import os
import sys

from node.append_log import AppendLog

TASKS = 16


def payload(number: int) -> bytes:
    """Return the record of a number: its digits, then as many bytes as it says (0 to 4999)."""
    return b"%d:" % number + b"x" * (number * 7919 % 5000)


async def main(directory: str, start: int) -> None:
    log = AppendLog(directory)
    numbers = itertools.count(start)

    async def write() -> None:
        for number in numbers:
            await log.append(payload(number))
            os.write(1, b"%d\n" % number)

    await asyncio.gather(*(write() for _ in range(TASKS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
