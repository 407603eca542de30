"""The file of the gateway's own tables, brought to the newest version when it is opened."""

from pathlib import Path

from sqlalchemy import Engine
from sqlmodel import create_engine

from gateway.migrations import upgrade


def open_database(path: Path) -> Engine:
    """A SQLite file that nobody else on the machine may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(f"sqlite:///{path}")
    upgrade(engine)
    path.chmod(0o600)
    return engine
