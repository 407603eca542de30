"""The loop that gateways run on."""

from tests.gateway.conftest import anyio_backend

__all__ = ["anyio_backend"]
