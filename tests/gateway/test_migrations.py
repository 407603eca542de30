"""A file of keys from any version comes to the newest, with what is in it."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect
from sqlmodel import SQLModel

from gateway.access.api_keys import ApiKey, KeyStore, KeyTerms
from gateway.migrations import upgrade

FIRST_SCHEMA = """
CREATE TABLE api_key (
    id VARCHAR NOT NULL, name VARCHAR NOT NULL, shown VARCHAR NOT NULL, sha256 VARCHAR NOT NULL,
    application VARCHAR NOT NULL, in_flight_max INTEGER NOT NULL, created_at INTEGER NOT NULL,
    revoked_at INTEGER, PRIMARY KEY (id), UNIQUE (sha256)
);
INSERT INTO api_key VALUES
    ('key_a', 'web shop', 'lode_sk_abcd', 'aa', '0x11', 3, 1700000000, NULL),
    ('key_b', 'old', 'lode_sk_efgh', 'bb', '0x22', 256, 1700000001, 1700000009);
"""


def write_first(path: Path) -> None:
    """A file as the first version left it: no word on its version."""
    with sqlite3.connect(path) as file:
        file.executescript(FIRST_SCHEMA)
    file.close()


def read_columns(path: Path) -> list[tuple[object, ...]]:
    file = sqlite3.connect(path)
    try:
        return sorted(
            file.execute("SELECT name, type, \"notnull\", pk FROM pragma_table_info('api_key')")
        )
    finally:
        file.close()


def test_keys_of_the_first_version_stay_as_they_were(tmp_path: Path) -> None:
    write_first(tmp_path / "keys.db")
    keys = KeyStore(tmp_path / "keys.db")
    first, second = keys.list()
    assert (first.id, first.name, first.sha256, first.in_flight_max) == (
        "key_a",
        "web shop",
        "aa",
        3,
    )
    assert (second.id, second.revoked_at) == ("key_b", 1700000009)
    unlimited = KeyTerms().model_dump(exclude={"in_flight_max"})
    assert first.model_dump(include=set(unlimited)) == unlimited
    assert keys.update("key_a", {"daily_budget": 2**62, "models": ["tiny"]}).models == ["tiny"]
    keys.close()
    again = KeyStore(tmp_path / "keys.db")
    assert again.list()[0].daily_budget == 2**62
    again.close()


def test_a_new_file_an_old_one_and_the_model_have_the_same_columns(tmp_path: Path) -> None:
    KeyStore(tmp_path / "new.db").close()
    write_first(tmp_path / "old.db")
    KeyStore(tmp_path / "old.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'model.db'}")
    SQLModel.metadata.create_all(engine, tables=[ApiKey.__table__])  # type: ignore[attr-defined]
    engine.dispose()
    expected = read_columns(tmp_path / "model.db")
    assert read_columns(tmp_path / "new.db") == expected
    assert read_columns(tmp_path / "old.db") == expected


def test_a_version_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alembic.operations import Operations

    path = tmp_path / "keys.db"
    write_first(path)
    before, add = read_columns(path), Operations.add_column

    def fail_late(self: Operations, table: str, column: object, **options: object) -> None:
        if getattr(column, "name", "") == "models":
            raise OSError("the disk is full")
        add(self, table, column, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Operations, "add_column", fail_late)
    engine = create_engine(f"sqlite:///{path}")
    with pytest.raises(OSError, match="disk"):
        upgrade(engine)
    assert read_columns(path) == before
    assert inspect(engine).get_table_names() == ["api_key"]
    monkeypatch.undo()
    upgrade(engine)
    engine.dispose()
    assert len(read_columns(path)) == len(before) + 6
