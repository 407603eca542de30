"""What this supplier sent and what came of it, for people: `status`, `funds`, and credit history.

Nothing is decided from these tables but a gateway's credit history; the receipt log and the chain
are the truth.
"""

import time
from pathlib import Path

from sqlalchemy import Engine, Table, inspect
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select

from relay_mining import Address
from supplier.server.accounts import History

STORE = "supplier.db"
"""Its file in the data directory."""


class SentAction(SQLModel, table=True):
    """One action of settlement; amounts as decimal text, since they exceed 64 bits."""

    __tablename__ = "supplier_sent_action"

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(description="Unix time in seconds")
    block: int
    kind: str = Field(index=True)
    session: str = Field(default="", index=True)
    number: int = 0
    amount: str = "0"
    transaction: str = ""
    gas_used: int = 0
    outcome: str = ""


class SessionRecord(SQLModel, table=True):
    """One closed session: its funnel in compute units, its claim in token base units."""

    __tablename__ = "supplier_session"

    session: str = Field(primary_key=True)
    number: int = Field(index=True)
    application: str
    gateway: str = Field(index=True)
    service: str
    relays: int
    served: int
    receipted: int
    payable: int
    lost: int
    value: str = "0"
    bond: str = "0"
    paid: str = "0"
    outcome: str = ""
    price: str = "0"
    """Token base units for a million units; 0 in rows from before it was kept."""
    net: str = "0"
    """Of the value, what is left for the supplier after the shares of others."""
    closed_at: float = 0.0
    """Unix time in seconds."""


class Store:
    """The tables in one SQLite file, shared by `serve` and the commands that look at it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine: Engine = create_engine(f"sqlite:///{path}")
        with self._engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        tables: list[Table] = [SentAction.__table__, SessionRecord.__table__]  # type: ignore[attr-defined]
        SQLModel.metadata.create_all(self._engine, tables=tables)
        for table in tables:
            self._add_columns(table)

    def _add_columns(self, table: Table) -> None:
        """Give a table of an earlier release the columns that came since, at their defaults."""
        there = {each["name"] for each in inspect(self._engine).get_columns(table.name)}
        with self._engine.begin() as connection:
            for column in table.columns:
                if column.name not in there:
                    kind = column.type.compile(self._engine.dialect)
                    default = column.default.arg if column.default is not None else ""  # type: ignore[attr-defined]
                    connection.exec_driver_sql(
                        f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind} "
                        f"NOT NULL DEFAULT {default!r}"
                    )

    def add_action(self, action: SentAction) -> None:
        """Keep one sent action."""
        with Session(self._engine) as session:
            session.add(action)
            session.commit()

    def close_session(self, record: SessionRecord) -> None:
        """Keep a session's end; a second time replaces the first."""
        with Session(self._engine) as session:
            session.merge(record)
            session.commit()

    def actions(self, limit: int) -> list[SentAction]:
        """The latest actions, newest first."""
        with Session(self._engine) as session:
            found = session.exec(
                select(SentAction).order_by(col(SentAction.id).desc()).limit(limit)
            )
            return list(found)

    def sessions(self, limit: int) -> list[SessionRecord]:
        """The latest closed sessions, newest first."""
        with Session(self._engine) as session:
            query = select(SessionRecord).order_by(col(SessionRecord.number).desc()).limit(limit)
            return list(session.exec(query))

    def totals(self) -> dict[str, int]:
        """Sums over all closed sessions: units by stage, and money claimed and paid."""
        fields = ("relays", "served", "receipted", "payable", "lost")
        sums = dict.fromkeys((*fields, "value", "paid"), 0)
        with Session(self._engine) as session:
            for record in session.exec(select(SessionRecord)):
                for name in sums:
                    sums[name] += int(getattr(record, name))
        return sums

    def history(self) -> dict[Address, History]:
        """What each gateway did in closed sessions."""
        query = select(
            SessionRecord.gateway, func.sum(SessionRecord.receipted), func.sum(SessionRecord.lost)
        ).group_by(col(SessionRecord.gateway))
        with Session(self._engine) as session:
            return {
                bytes.fromhex(gateway): History(int(receipted), int(lost))
                for gateway, receipted, lost in session.exec(query)
            }

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


def read_records(data_dir: Path, limit: int) -> list[SessionRecord]:
    """The latest closed sessions, newest first; none where nothing was ever served."""
    path = data_dir / STORE
    if not path.is_file():
        return []
    store = Store(path)
    try:
        return store.sessions(limit)
    finally:
        store.close()


def now() -> float:
    """Unix time in seconds."""
    return time.time()
