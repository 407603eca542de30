"""The receipt log's rows in PostgreSQL: records written, a session sealed, records read, in SQL.

A write does nothing unless this server's row is there, and no receipt of a sealed session is
written; it can be sent again after a connection was lost, since each record has its place in its
server's own order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relay_mining import Hash32
from supplier.mining.records import (
    Closed,
    Opened,
    Receipted,
    Record,
    Sealed,
    Served,
    decode_record,
    encode_record,
)
from supplier.shared.database import Connection, Database
from supplier.shared.errors import FencedError

ROWS_AT_ONCE = 4096

WRITE = """
WITH mine AS MATERIALIZED (
    SELECT number FROM relay_server WHERE number = %(server)s FOR KEY SHARE
), open AS MATERIALIZED (
    SELECT session FROM relay_session
    WHERE session = ANY(%(bound)s) AND NOT is_sealed ORDER BY session FOR SHARE
), opened AS (
    INSERT INTO relay_session (session, gateway, number)
    SELECT o.session, o.gateway, o.number
    FROM mine, unnest(%(opened)s::bytea[], %(gateways)s::bytea[], %(numbers)s::bigint[])
        AS o(session, gateway, number)
    ON CONFLICT (session) DO NOTHING
), closed AS (
    UPDATE relay_session SET is_closed = true
    WHERE session = ANY(%(closed)s) AND EXISTS (SELECT FROM mine)
)
INSERT INTO relay_record (session, server, place, payload)
SELECT n.session, mine.number, n.place, n.payload
FROM mine, unnest(%(places)s::bigint[], %(sessions)s::bytea[], %(payloads)s::bytea[],
    %(is_bound)s::boolean[]) AS n(place, session, payload, is_bound)
WHERE NOT n.is_bound OR n.session IN (SELECT session FROM open)
ORDER BY n.place
ON CONFLICT (server, place) DO NOTHING
RETURNING place
"""
SEAL = """
WITH mine AS MATERIALIZED (
    SELECT number FROM relay_server WHERE number = %(server)s FOR KEY SHARE
), sealed AS (
    UPDATE relay_session SET is_sealed = true
    WHERE session = %(session)s AND NOT is_sealed AND EXISTS (SELECT FROM mine)
    RETURNING session
)
INSERT INTO relay_record (session, server, place, payload)
SELECT sealed.session, mine.number, %(place)s, %(payload)s FROM mine, sealed
ON CONFLICT (server, place) DO NOTHING
RETURNING place
"""
"""Waits for the writes of receipts that hold the session's row; those after it see it sealed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A record at its place in its server's order."""

    place: int
    record: Record

    @property
    def session_id(self) -> Hash32:
        """The session it is of."""
        record = self.record
        return record.facts.key.id if isinstance(record, Opened) else record.session_id


def write_entries(connection: Connection, server: int, entries: Sequence[Entry]) -> set[int]:
    """The places of the entries that are in the log; raises FencedError."""
    places = [entry.place for entry in entries]
    if isinstance(entries[0].record, Sealed):
        (entry,) = entries
        values = {
            "server": server, "session": entry.session_id, "place": entry.place,
            "payload": encode_record(entry.record),
        }  # fmt: skip
        connection.execute(SEAL, values)
        _require_row(connection, server)
        return set(places)  # sealed now, or by another leader before
    rows = connection.execute(WRITE, _values(server, entries), prepare=True).fetchall()
    written = {int(place) for (place,) in rows}
    if len(written) < len(places):
        _require_row(connection, server)
        rows = connection.execute(
            "SELECT place FROM relay_record WHERE server = %s AND place = ANY(%s)",
            (server, places),
        ).fetchall()
        written = {int(place) for (place,) in rows}
    return written


def _values(server: int, entries: Sequence[Entry]) -> dict[str, object]:
    opened = [each.record.facts.key for each in entries if isinstance(each.record, Opened)]
    is_bound = [isinstance(each.record, Receipted | Served) for each in entries]
    bound = {each.session_id for each, is_one in zip(entries, is_bound, strict=True) if is_one}
    return {
        "server": server,
        "bound": sorted(bound),
        "opened": [key.id for key in opened],
        "gateways": [key.gateway for key in opened],
        "numbers": [key.number for key in opened],
        "closed": [each.session_id for each in entries if isinstance(each.record, Closed)],
        "places": [each.place for each in entries],
        "sessions": [each.session_id for each in entries],
        "payloads": [encode_record(each.record) for each in entries],
        "is_bound": is_bound,
    }


def _require_row(connection: Connection, server: int) -> None:
    if not connection.execute("SELECT FROM relay_server WHERE number = %s", (server,)).rowcount:
        raise FencedError("others took this relay server for dead: start it again")


def drop_before(connection: Connection, oldest: int) -> None:
    """Forget the records of closed sessions before `oldest`."""
    connection.execute(
        "WITH gone AS ("
        "DELETE FROM relay_session WHERE is_closed AND number < %s RETURNING session"
        ") DELETE FROM relay_record USING gone WHERE relay_record.session = gone.session",
        (oldest,),
    )


@dataclass(frozen=True, slots=True)
class SharedReader:
    """The sessions that are not closed, for commands; changes nothing."""

    database: Database

    def replay(self) -> Iterator[Record]:
        """Every record, in the order of writing; raises SharedDatabaseError."""
        wanted = "session IN (SELECT session FROM relay_session WHERE NOT is_closed)"
        return read_records(self.database, wanted, ())


def read_records(database: Database, wanted: str, values: tuple[object, ...]) -> Iterator[Record]:
    """Records over a connection of their own, a few thousand at a time."""
    query = f"SELECT payload FROM relay_record WHERE {wanted} ORDER BY id"
    with (
        database.connection() as connection,
        connection.transaction(),
        connection.cursor(name="records") as cursor,
    ):
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(query.encode(), values)
        for (payload,) in cursor:
            yield decode_record(bytes(payload))
