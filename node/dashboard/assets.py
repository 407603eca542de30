"""Static files, read once at start: nothing a client sends ever becomes a path on a disk."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
SHARED = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, and what tells whether a browser has it already."""

    body: bytes
    content_type: str
    etag: str


class Assets:
    """The files of some folders by URL path; other kinds of files in them are not served."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._found = {
            prefix + path.relative_to(folder).as_posix(): load_asset(path)
            for prefix, folder in folders.items()
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES
        }

    def find(self, path: str) -> Asset | None:
        """The file at a URL path; None where there is none."""
        return self._found.get(path)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every URL path there is."""
        return tuple(self._found)


def load_asset(path: Path) -> Asset:
    """One file as it will be served."""
    body = path.read_bytes()
    return Asset(body, TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:24]}"')
