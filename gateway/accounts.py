"""API keys: shown once, kept as sha256, looked up in memory on the request path.

A key has 256 bits of randomness, so one round of sha256 is enough: there is no dictionary to try.
"""

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, create_engine, select

from gateway.errors import KeyNotFoundError
from relay_mining import Address

KEY_PREFIX = "lode_sk_"
IN_FLIGHT_MAX = 256


class ApiKey(SQLModel, table=True):
    """One row a key; the key itself is nowhere."""

    __tablename__ = "api_key"

    id: str = Field(primary_key=True)
    name: str
    shown: str
    """The key's first characters, to tell keys apart by."""
    sha256: str = Field(unique=True)
    application: str
    """Who pays: 0x and 40 hex digits."""
    in_flight_max: int = IN_FLIGHT_MAX
    created_at: int
    revoked_at: int | None = None


@dataclass(slots=True)
class Account:
    """What the request path knows of a key."""

    key_id: str
    application: Address
    in_flight_max: int
    in_flight: int = 0


class KeyStore:
    """The keys' table in a SQLite file; slow, for the control plane and the command line."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._engine: Engine = create_engine(f"sqlite:///{path}")
        SQLModel.metadata.create_all(self._engine, tables=[ApiKey.__table__])  # type: ignore[attr-defined]
        path.chmod(0o600)

    def create(
        self, name: str, application: Address, in_flight_max: int = IN_FLIGHT_MAX
    ) -> tuple[str, ApiKey]:
        """A new key and its row; the key cannot be read again."""
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        row = ApiKey(
            id="key_" + secrets.token_hex(8),
            name=name,
            shown=key[: len(KEY_PREFIX) + 4],
            sha256=hashlib.sha256(key.encode()).hexdigest(),
            application="0x" + application.hex(),
            in_flight_max=in_flight_max,
            created_at=int(time.time()),
        )
        with Session(self._engine, expire_on_commit=False) as session:
            session.add(row)
            session.commit()
        return key, row

    def list(self) -> Sequence[ApiKey]:
        """All rows, revoked ones too, oldest first."""
        with Session(self._engine) as session:
            return session.exec(select(ApiKey).order_by("created_at", "id")).all()

    def revoke(self, key_id: str) -> ApiKey:
        """End a key for good; raises KeyNotFoundError where there is none of that id."""
        with Session(self._engine, expire_on_commit=False) as session:
            row = session.get(ApiKey, key_id)
            if row is None:
                raise KeyNotFoundError(f"there is no key {key_id}; see `gateway keys list`")
            row.revoked_at = row.revoked_at or int(time.time())
            session.add(row)
            session.commit()
            return row

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()


class Accounts:
    """The live keys by their digest; a key's count of requests in flight survives a reload."""

    def __init__(self) -> None:
        self._accounts: dict[bytes, Account] = {}

    def find(self, key: bytes) -> Account | None:
        """The account of a key as the client sent it; None where it is unknown or revoked."""
        return self._accounts.get(hashlib.sha256(key).digest())

    def load(self, rows: Sequence[ApiKey]) -> None:
        """Replace the keys by those of the table."""
        known = {each.key_id: each for each in self._accounts.values()}
        accounts: dict[bytes, Account] = {}
        for row in rows:
            if row.revoked_at is not None:
                continue
            account = known.get(row.id) or Account(row.id, b"", 0)
            account.application = bytes.fromhex(row.application[2:])
            account.in_flight_max = row.in_flight_max
            accounts[bytes.fromhex(row.sha256)] = account
        self._accounts = accounts

    @property
    def applications(self) -> frozenset[Address]:
        """Everyone who pays for some key."""
        return frozenset(each.application for each in self._accounts.values())
