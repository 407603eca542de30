"""One file with everything a supplier needs to go on elsewhere, taken while it serves.

A backup is a gzipped tar of settings, the operator's encrypted keystore, the receipt log and the
tables, with a manifest of their sha256 first. The log is copied as it is read beside its writer: a
record that is being written is left out whole.
"""

import hashlib
import io
import re
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from node.append_log import read_segments
from node.errors import OperatorError
from supplier.config_file import set_value
from supplier.records import Receipted, decode_record
from supplier.settings import Settings
from supplier.store import STORE

MANIFEST, CONFIG = "manifest.json", "supplier.toml"
BOOK, KEYSTORE = "addressbook.json", "operator.json"
REPLACED = {BOOK: "address_book", KEYSTORE: "operator_keystore"}
"""Settings that name a file of the backup, and are pointed at it when it is restored."""
FORMAT = 1
MEMBER = re.compile(
    rf"supplier\.toml|operator\.json|addressbook\.json|data/{re.escape(STORE)}|data/receipts/[0-9]{{1,20}}\.log"
)
BYTES_MAX = 1 << 33


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds."""

    format: int
    created: float
    """Unix seconds."""
    supplier: str
    receipts: int
    files: dict[str, str]
    """sha256 in hex by name."""


def write_backup(settings: Settings, config: Path, target: Path) -> Manifest:
    """Write a new backup, mode 0600; raises OperatorError rather than overwrite a file."""
    if target.exists():
        raise OperatorError(f"{target} exists: name a new file for each backup")
    partial = target.with_name(target.name + ".partial")
    with tempfile.TemporaryDirectory() as scratch:
        files = dict(_collect(settings, config, Path(scratch)))
        manifest = Manifest(
            format=FORMAT,
            created=time.time(),
            supplier=settings.supplier_id,
            receipts=count_receipts(settings.data_dir / "receipts"),
            files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        )
        partial.touch(mode=0o600)
        with tarfile.open(partial, "w:gz") as archive:
            for name, data in ((MANIFEST, orjson.dumps(asdict(manifest))), *files.items()):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o600
                archive.addfile(entry, io.BytesIO(data))
    partial.replace(target)  # a backup that was cut off has another name
    return manifest


def restore_backup(source: Path, config: Path) -> Manifest:
    """Write the files of a backup around `config`, which must not be there yet.

    Raises OperatorError where something would be overwritten, or the archive is not whole.
    """
    manifest, files = read_backup(source)
    base, data = config.resolve().parent, f"{config.stem}-data"
    places = {name: base / name.replace("data/", f"{data}/", 1) for name in files}
    places[CONFIG] = config
    taken = [path for path in (*places.values(), base / data) if path.exists()]
    if taken:
        raise OperatorError(f"{taken[0]} is there already: restore into an empty directory")
    for name, path in places.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(files[name])
    for name, setting in REPLACED.items():
        if name in files:
            set_value(config, setting, name)
    set_value(config, "data_dir", data)
    return manifest


def read_backup(source: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the files of a backup, each checked against it; raises OperatorError."""
    try:
        with tarfile.open(source, "r:gz") as archive:
            found = dict(_members(archive))
        document: dict[str, Any] = orjson.loads(found.pop(MANIFEST))
        manifest = Manifest(**document)
    except (tarfile.TarError, OSError, EOFError, KeyError, TypeError, ValueError) as error:
        raise OperatorError(f"{source} is no whole backup: {error}") from error
    if manifest.format != FORMAT:
        raise OperatorError(f"{source} is of format {manifest.format}, this release reads {FORMAT}")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    if digests != manifest.files or CONFIG not in found:
        raise OperatorError(f"{source} is damaged: its files are not those of its manifest")
    return manifest, found


def count_receipts(receipts: Path) -> int:
    """Receipts in a log, those of closed sessions included as long as they are there."""
    return sum(
        isinstance(decode_record(payload), Receipted)
        for _, payloads in read_segments(receipts)
        for payload in payloads
    )


def _members(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Plain files of known names, and nothing else an archive can hold."""
    left = BYTES_MAX
    for entry in archive:
        if not entry.isfile() or (entry.name != MANIFEST and not MEMBER.fullmatch(entry.name)):
            raise ValueError(f"{entry.name!r} has no place in a backup")
        left -= entry.size
        file = archive.extractfile(entry)
        if left < 0 or file is None:
            raise ValueError("it is too large")
        yield entry.name, file.read()


def _collect(settings: Settings, config: Path, scratch: Path) -> Iterator[tuple[str, bytes]]:
    yield CONFIG, config.read_bytes()
    yield BOOK, settings.chain.address_book.read_bytes()
    if settings.keys.operator_keystore is not None:
        yield KEYSTORE, settings.keys.operator_keystore.read_bytes()
    receipts = settings.data_dir / "receipts"
    for name, _ in read_segments(receipts):  # raises CorruptLog for a log not worth keeping
        path = receipts / f"{name}.log"
        if path.is_file():
            yield f"data/receipts/{name}.log", path.read_bytes()
    if (settings.data_dir / STORE).is_file():
        yield f"data/{STORE}", _copy_tables(settings.data_dir / STORE, scratch / STORE)


def _copy_tables(source: Path, copy: Path) -> bytes:
    """The tables as of one moment, whatever is written meanwhile."""
    origin, target = sqlite3.connect(source), sqlite3.connect(copy)
    try:
        origin.backup(target)
    finally:
        target.close()
        origin.close()
    return copy.read_bytes()
