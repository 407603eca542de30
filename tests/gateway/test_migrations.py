"""Tables of any version come to the newest, in SQLite and in PostgreSQL, with what is in them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, inspect
from sqlmodel import SQLModel

from gateway.access.api_keys import KeyStore, KeyTerms
from gateway.access.audit_log import read_actions
from gateway.access.database import Database
from gateway.access.deny_list import DenyList
from gateway.access.revision import read_revision
from gateway.migrations import LINEAGE
from node.migrations import upgrade
from tests.factories import APPLICATION, SUPPLIER
from tests.migrating import Place, engine, names_of, place, postgres, read_columns

__all__ = ["engine", "place", "postgres"]

FIRST_SCHEMA = """
CREATE TABLE api_key (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, shown VARCHAR NOT NULL, sha256 VARCHAR NOT NULL,
    application VARCHAR NOT NULL, in_flight_max INTEGER NOT NULL, created_at INTEGER NOT NULL,
    revoked_at INTEGER, PRIMARY KEY (id), UNIQUE (sha256)
)
"""
FIRST_ROWS = """
INSERT INTO api_key VALUES
    ('key_a', 'web shop', 'lode_sk_abcd', 'aa', '0x11', 3, 1700000000, NULL),
    ('key_b', 'old', 'lode_sk_efgh', 'bb', '0x22', 256, 1700000001, 1700000009)
"""
MODELS = [
    each.local_table
    for each in SQLModel._sa_registry.mappers
    if each.class_.__module__.startswith("gateway.")
]


def write_first(engine: Engine) -> None:
    """Tables as the first version left them: no word on their version."""
    with engine.begin() as connection:
        connection.exec_driver_sql(FIRST_SCHEMA)
        connection.exec_driver_sql(FIRST_ROWS)


def test_keys_of_the_first_version_stay_as_they_were(engine: Engine, place: Place) -> None:
    write_first(engine)
    with Database(place) as tables:
        keys = KeyStore(tables)
        first, second = keys.list()
        assert (first.id, first.name, first.sha256) == ("key_a", "web shop", "aa")
        assert first.in_flight_max == 3
        assert (second.id, second.revoked_at) == ("key_b", 1700000009)
        unlimited = KeyTerms().model_dump(exclude={"in_flight_max"})
        assert first.model_dump(include=set(unlimited)) == unlimited
        assert keys.update("key_a", {"daily_budget": 2**62, "models": ["tiny"]}).models == ["tiny"]
    with Database(place) as again:
        assert KeyStore(again).list()[0].daily_budget == 2**62


def test_version_by_version_leads_where_a_new_database_begins(engine: Engine, place: Place) -> None:
    write_first(engine)
    for version in names_of(LINEAGE):
        upgrade(engine, LINEAGE, version)
        with engine.connect() as connection:
            found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            assert found == version
            count = connection.exec_driver_sql("SELECT count(*) FROM api_key").scalar()
            assert count == 2
    stepped = read_columns(engine)
    with engine.begin() as connection:
        for table in inspect(connection).get_table_names():
            connection.exec_driver_sql(f"DROP TABLE {table}")
        SQLModel.metadata.create_all(connection, MODELS)
        assert stepped == read_columns(connection)
        SQLModel.metadata.drop_all(connection, MODELS)
    upgrade(engine, LINEAGE)
    assert read_columns(engine) == stepped


def test_a_version_that_fails_half_way_changes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    write_first(engine)
    before, add = read_columns(engine), Operations.add_column

    def fail_late(self: Operations, table: str, column: object, **options: object) -> None:
        if getattr(column, "name", "") == "models":
            raise OSError("the disk is full")
        add(self, table, column, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Operations, "add_column", fail_late)
    with pytest.raises(OSError, match="disk"):
        upgrade(engine, LINEAGE)
    assert read_columns(engine) == before
    assert inspect(engine).get_table_names() == ["api_key"]
    monkeypatch.undo()
    upgrade(engine, LINEAGE)
    assert before < read_columns(engine)


def test_several_gateways_may_start_on_an_old_database_at_once(
    engine: Engine, place: Place
) -> None:
    write_first(engine)
    databases = [Database(place) for _ in range(4)]
    with ThreadPoolExecutor(len(databases)) as threads:
        found = list(threads.map(lambda each: len(KeyStore(each).list()), databases))
    for each in databases:
        each.close()
    assert found == [2] * len(databases)


def test_every_table_works_and_every_change_is_seen(place: Place) -> None:
    with Database(place) as one, Database(place) as other:
        before = read_revision(other)
        keys, denied = KeyStore(one), DenyList(one)
        key, row = keys.create("shop", APPLICATION, KeyTerms(models=["tiny"], daily_budget=2**62))
        keys.revoke(keys.update(row.id, {"models": None}).id)
        denied.deny(SUPPLIER, "slow")
        denied.deny(SUPPLIER, "slower")
        assert read_revision(other) == before + 5
        (seen,) = KeyStore(other).list()
        assert (seen.id, seen.models, seen.daily_budget) == (row.id, None, 2**62)
        assert DenyList(other).rows() == {SUPPLIER: "slower"}
        assert len(read_actions(other)) == 5
        assert key not in str(read_actions(other))
