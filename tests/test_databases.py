"""The servers that other tests rely on keep what they should over stops and kills."""

from collections.abc import Callable

import psycopg
import pytest

from tests.databases import Postgres, Redis, postgres, redis

__all__ = ["postgres", "redis"]


def test_postgres_keeps_what_was_committed_over_a_stop_and_a_kill(postgres: Postgres) -> None:
    url = postgres.create()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    postgres.restart()
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)
    postgres.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchall() == [(7,)]


@pytest.mark.parametrize("end", [Redis.stop, Redis.kill])
def test_redis_is_gone_and_comes_back(redis: Redis, end: Callable[[Redis], None]) -> None:
    assert redis.answers()
    end(redis)
    assert not redis.answers()
    redis.start()
    assert redis.answers()


def test_each_test_has_a_database_of_its_own(postgres: Postgres) -> None:
    assert postgres.create() != postgres.create()
