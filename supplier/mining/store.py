"""What this supplier sent and what came of it, for people: `status`, `funds`, and credit history.

Nothing is decided from these tables but a gateway's credit history; the receipt log and the chain
are the truth.
"""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import BigInteger, Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select

from node.errors import OperatorError
from node.migrations import upgrade
from relay_mining import Address
from supplier.migrations import LINEAGE
from supplier.mining.postgres import connect_options
from supplier.server.accounts import History
from supplier.settings import Settings

STORE = "supplier.db"
"""Its file in the data directory."""
AWAY_S_MAX, AWAY_PAUSE_S = 60.0, 0.5


class SentAction(SQLModel, table=True):
    """One action of settlement; amounts as decimal text, since they exceed 64 bits."""

    __tablename__ = "supplier_sent_action"

    id: int | None = Field(default=None, primary_key=True)
    at: float = Field(description="Unix time in seconds")
    block: int = Field(sa_type=BigInteger)
    kind: str = Field(index=True)
    session: str = Field(default="", index=True)
    number: int = Field(default=0, sa_type=BigInteger)
    amount: str = "0"
    transaction: str = ""
    gas_used: int = 0
    outcome: str = ""


class SessionRecord(SQLModel, table=True):
    """One closed session: its funnel in compute units, its claim in token base units."""

    __tablename__ = "supplier_session"

    session: str = Field(primary_key=True)
    number: int = Field(index=True, sa_type=BigInteger)
    application: str
    gateway: str = Field(index=True)
    service: str
    relays: int = Field(sa_type=BigInteger)
    served: int = Field(sa_type=BigInteger)
    receipted: int = Field(sa_type=BigInteger)
    payable: int = Field(sa_type=BigInteger)
    lost: int = Field(sa_type=BigInteger)
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
    engines: str = "{}"
    """Units served by each engine, as JSON; none in rows from before it was kept."""


class Store:
    """The tables, shared by `serve` and the commands that look at them.

    In one SQLite file, or in the PostgreSQL of a URL, which is not asked before `make_tables`.
    """

    def __init__(self, place: Path | str) -> None:
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._engine: Engine = create_engine(f"sqlite:///{place}")
            with self._engine.begin() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            self.make_tables()
        else:
            url = make_url(place).set(drivername="postgresql+psycopg")
            self._engine = create_engine(url, pool_pre_ping=True, connect_args=connect_options())

    def make_tables(self) -> None:
        """Bring them to the newest version, from none or any; raises OperationalError."""
        upgrade(self._engine, LINEAGE)

    def add_action(self, action: SentAction) -> None:
        """Keep one sent action."""
        self._keep(lambda session: session.add(action))

    def close_session(self, record: SessionRecord) -> None:
        """Keep a session's end; a second time replaces the first."""
        self._keep(lambda session: session.merge(record))

    def _keep(self, change: Callable[[Session], object]) -> None:
        """Commit a change; a database that is away is waited for, and raises OperationalError then.

        The last try begins within `AWAY_S_MAX`, and ends within the deadline of a statement.
        """
        until = time.monotonic() + AWAY_S_MAX
        while True:
            try:
                with Session(self._engine, expire_on_commit=False) as session:
                    change(session)
                    session.commit()
            except OperationalError:
                if time.monotonic() > until or self._engine.dialect.name == "sqlite":
                    raise
                time.sleep(AWAY_PAUSE_S)
            else:
                return

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


def open_store(settings: Settings) -> Store:
    """The tables that a node of these settings keeps; raises OperatorError without a database."""
    url = settings.shared.database_url
    if url is None:
        return Store(settings.data_dir / STORE)
    store = Store(url.get_secret_value())
    try:
        store.make_tables()
    except OperationalError as error:
        store.close()
        raise OperatorError("shared.database_url does not answer, or lets nobody in") from error
    return store


def read_records(settings: Settings, limit: int) -> list[SessionRecord]:
    """The latest closed sessions, newest first; none where nothing was ever served."""
    if settings.shared.database_url is None and not (settings.data_dir / STORE).is_file():
        return []
    store = open_store(settings)
    try:
        return store.sessions(limit)
    finally:
        store.close()


def now() -> float:
    """Unix time in seconds."""
    return time.time()
