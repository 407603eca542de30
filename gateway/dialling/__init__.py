"""Suppliers that take no connections dial in here: who is let in, and how long a line is kept."""

from gateway.dialling.directory import Directory
from gateway.dialling.door import DIAL_PATH, Door
from gateway.dialling.greeter import Lobby
from gateway.dialling.keeper import LineKeeper

__all__ = ["DIAL_PATH", "Directory", "Door", "LineKeeper", "Lobby"]
