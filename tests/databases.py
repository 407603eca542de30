"""Real PostgreSQL and Redis servers for tests, skipped where the programs are not installed.

A test asks for the fixture `postgres` or `redis` (imported into its module, one server a module),
or enters `run_postgres()` or `run_redis()` for a server of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from localnet import databases
from localnet.databases import HASTY, Database, Postgres, Redis
from localnet.errors import NotInstalledError

__all__ = ["Database", "Postgres", "Redis", "postgres", "redis", "run_postgres", "run_redis"]


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """A started PostgreSQL with an empty cluster."""
    with _skipping(), databases.run_postgres(*HASTY) as server:
        yield server


@contextmanager
def run_redis(*arguments: str) -> Iterator[Redis]:
    """A started Redis, with more `arguments` if any."""
    with _skipping(), databases.run_redis(*arguments) as server:
        yield server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for the module; `create` gives each test a database of its own."""
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    """A Redis for the module."""
    with run_redis() as server:
        yield server


@contextmanager
def _skipping() -> Iterator[None]:
    try:
        yield
    except NotInstalledError as error:
        pytest.skip(str(error))
