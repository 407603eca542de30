"""Every bound of the HTTP chassis, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from relay_mining import value_class


@dataclass(frozen=True, slots=True)
class Limits:
    """What a server accepts; sizes in bytes, times in seconds."""

    header_bytes_max: int = 64 << 10
    header_count_max: int = 128
    body_bytes_max: int = 10 << 20
    connections_max: int = 4096
    idle_s: float = 75.0
    head_s: float = 10.0
    body_s: float = 60.0
    write_stall_s: float = 30.0
    """How long a client may take nothing of what is to be sent."""
    linger_s: float = 1.0
    write_buffer_bytes: int = 64 << 10
    backlog: int = 2048
    upgrade: bytes = b""
    """The protocol that a GET may ask to switch to; none by default."""

    @property
    def sweep_s(self) -> float:
        """How often deadlines are looked at: a quarter of the shortest, 10 ms to 1 s."""
        shortest = min(self.idle_s, self.head_s, self.body_s, self.write_stall_s, self.linger_s)
        return min(1.0, max(0.01, shortest / 4))


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What a client accepts and keeps; sizes in bytes, times in seconds.

    `idle_s` stays below the 5 s after which uvicorn (hence vLLM) closes an idle connection.
    """

    header_bytes_max: int = 64 << 10
    header_count_max: int = 128
    body_bytes_max: int = 32 << 20
    stream_bytes_max: int = 1 << 30
    buffer_bytes_max: int = 256 << 10
    connections_per_origin_max: int = 512
    idle_s: float = 4.0


@value_class
class Timeout:
    """Deadlines of one request in seconds; None waits for ever.

    `connect` includes resolving, TLS and waiting for a free slot of the pool; `first_byte` runs
    from sending to a complete response head; `read` is the longest silence inside a body;
    `total` covers everything.
    """

    connect: float | None = 5.0
    first_byte: float | None = 60.0
    read: float | None = 60.0
    total: float | None = 600.0
