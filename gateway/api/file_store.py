"""A store of files by name: what several gateways can share, here as a directory."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a name begins with that clients know; what follows it there is room for."""


class FileStore(Protocol):
    """Whole files, seen by nobody before they are durable; slow, so never on the loop's thread."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of one that is there."""

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; whether there was none."""

    def get(self, name: str) -> bytes | None:
        """A file, None where there is none."""

    def open(self, name: str) -> BinaryIO | None:
        """A file to read piece by piece, None where there is none."""

    def delete(self, name: str) -> bool:
        """Remove a file; whether there was one."""

    def names(self, suffix: str = "") -> list[str]:
        """The names that end so, sorted."""

    def written_at(self, name: str) -> float:
        """When a file was written, in Unix seconds; 0 where there is none."""

    def size(self, name: str) -> int:
        """The bytes of a file; 0 where there is none."""


class DirectoryStore:
    """A directory, on a disk or a share that its gateways have in common."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path

    def put(self, name: str, data: bytes) -> None:
        """Write aside, sync, and put in place by one rename."""
        os.replace(self._write_aside(data), self._place(name))
        self._sync()

    def create(self, name: str, data: bytes) -> bool:
        """Write aside, sync, and link in place, which fails where there is a file."""
        place, aside = self._place(name), self._write_aside(data)
        try:
            os.link(aside, place)
        except FileExistsError:
            return False
        finally:
            aside.unlink()
        self._sync()
        return True

    def get(self, name: str) -> bytes | None:
        """A file, None where there is none."""
        with suppress(FileNotFoundError):
            return self._place(name).read_bytes()
        return None

    def open(self, name: str) -> BinaryIO | None:
        """A file to read piece by piece, whole even where it is removed meanwhile."""
        with suppress(FileNotFoundError):
            return self._place(name).open("rb")
        return None

    def delete(self, name: str) -> bool:
        """Remove a file; whether there was one."""
        with suppress(FileNotFoundError):
            self._place(name).unlink()
            return True
        return False

    def names(self, suffix: str = "") -> list[str]:
        """The names that end so, sorted; files half written have none."""
        return sorted(
            each.name
            for each in self._path.iterdir()
            if each.name.endswith(suffix) and not each.name.startswith(".")
        )

    def written_at(self, name: str) -> float:
        """When a file was written, in Unix seconds; 0 where there is none."""
        with suppress(FileNotFoundError):
            return self._place(name).stat().st_mtime
        return 0.0

    def size(self, name: str) -> int:
        """The bytes of a file; 0 where there is none."""
        with suppress(FileNotFoundError):
            return self._place(name).stat().st_size
        return 0

    def _place(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise ValueError(f"not a file's name here: {name[:128]!r}")
        return self._path / name

    def _write_aside(self, data: bytes) -> Path:
        aside = self._path / f".{secrets.token_hex(8)}"
        with open(aside, "xb", opener=_open_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return aside

    def _sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
