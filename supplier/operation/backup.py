"""One file with everything a supplier needs to go on elsewhere, taken while it serves.

A backup is a gzipped tar of settings, the operator's encrypted keystore, the receipt log and the
tables, with a manifest of their sha256 first. All is copied beside its writers first, and counted
and packed from the copies, a segment of the log at a time; a record that is being written is torn
in its copy, and left out when that is read. The settings are whole: what is secret in them is so in
the backup.
"""

import gzip
import hashlib
import io
import os
import re
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import orjson

from node.errors import OperatorError
from node.log_format import scan
from supplier.config_file import set_value
from supplier.mining.records import Receipted, decode_record
from supplier.mining.store import STORE
from supplier.settings import Settings

MANIFEST, CONFIG = "manifest.json", "supplier.toml"
BOOK, KEYSTORE = "addressbook.json", "operator.json"
REPLACED = {BOOK: "address_book", KEYSTORE: "operator_keystore"}
"""Settings that name a file of the backup, and are pointed at it when it is restored."""
FORMAT = 1
MEMBER = re.compile(
    rf"supplier\.toml|operator\.json|addressbook\.json|data/{re.escape(STORE)}|data/receipts/[0-9]{{1,20}}\.log"
)
BYTES_MAX = 1 << 33
DAMAGE = (tarfile.TarError, zlib.error, OSError, EOFError, KeyError, TypeError, ValueError)
"""What reading an archive raises that is not whole, or none of ours."""


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
    if settings.shared.database_url is not None:
        raise OperatorError("receipts are in shared.database_url: back that up, as with pg_dump")
    if target.exists():
        raise OperatorError(f"{target} exists: name a new file for each backup")
    partial = target.with_name(target.name + ".partial")
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as scratch:
        files = dict(_copy(settings, config, Path(scratch)))
        manifest = Manifest(
            format=FORMAT,
            created=time.time(),
            supplier=settings.supplier_id,
            receipts=_count_receipts(Path(scratch) / "data" / "receipts"),
            files={name: _digest(path) for name, path in files.items()},
        )
        _write_archive(partial, manifest, files)
    partial.replace(target)  # a backup that was cut off has another name
    return manifest


def restore_backup(source: Path, config: Path) -> Manifest:
    """Write the files of a backup around `config`, which must not be there yet.

    All are written aside and put in their places when they are whole, `config` last: no node can
    start on a part. Raises OperatorError where something would be overwritten, the archive is not
    whole, or the disk does not take it.
    """
    manifest, files = read_backup(source)
    base, data = config.resolve().parent, f"{config.stem}-data"
    places = {name: base / name for name in files if name in REPLACED}
    places |= {"data": base / data, CONFIG: config}
    if taken := [path for path in places.values() if path.exists()]:
        raise OperatorError(f"{taken[0]} is there already: restore into an empty directory")
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(prefix=".restore-", dir=base) as scratch:
            _write_aside(Path(scratch), files, data)
            for name, path in places.items():
                (Path(scratch) / name).rename(path)
    except OSError as error:
        raise OperatorError(f"{base} does not take the backup: {error}") from error
    return manifest


def _write_aside(scratch: Path, files: dict[str, bytes], data: str) -> None:
    """Write all files, on the disk when this returns, and have the settings name them."""
    (scratch / "data").mkdir(mode=0o700)
    for name, content in files.items():
        path = scratch / name
        path.parent.mkdir(exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_bytes(content)
    for name in REPLACED.keys() & files.keys():
        set_value(scratch / CONFIG, REPLACED[name], name)
    set_value(scratch / CONFIG, "data_dir", data)
    for path in scratch.rglob("*"):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(descriptor)
        os.close(descriptor)


def read_backup(source: Path) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest and the files of a backup, each checked against it; raises OperatorError."""
    try:
        with gzip.open(source) as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
            found = dict(_members(archive))
            while packed.read(1 << 20):
                pass  # behind it is the checksum of all
        document: dict[str, Any] = orjson.loads(found.pop(MANIFEST))
        manifest = Manifest(**document)
    except DAMAGE as error:
        raise OperatorError(f"{source} is no whole backup: {error}") from error
    if manifest.format != FORMAT:
        raise OperatorError(f"{source} is of format {manifest.format}, this release reads {FORMAT}")
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}
    if digests != manifest.files or CONFIG not in found:
        raise OperatorError(f"{source} is damaged: its files are not those of its manifest")
    return manifest, found


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


def _copy(settings: Settings, config: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    """Copies of all there is, which no writer changes any more, by name."""
    sources = {CONFIG: config, BOOK: settings.chain.address_book}
    if settings.keys.operator_keystore is not None:
        sources[KEYSTORE] = settings.keys.operator_keystore
    (scratch / "data" / "receipts").mkdir(parents=True)
    for name, source in sources.items():
        yield name, Path(copyfile(source, scratch / name))
    for source in sorted((settings.data_dir / "receipts").glob("*.log")):
        name = f"data/receipts/{source.name}"
        with suppress(FileNotFoundError):  # of a session that is over by now
            yield name, Path(copyfile(source, scratch / name))
    if (settings.data_dir / STORE).is_file():
        name = f"data/{STORE}"
        _copy_tables(settings.data_dir / STORE, scratch / name)
        yield name, scratch / name


def _count_receipts(receipts: Path) -> int:
    """Receipts in a copied log; raises CorruptLog for one that is not worth keeping."""
    return sum(
        isinstance(decode_record(payload), Receipted)
        for segment in sorted(receipts.glob("*.log"))
        for payload, _ in scan(segment)
    )


def _copy_tables(source: Path, copy: Path) -> None:
    """The tables as of one moment, whatever is written meanwhile."""
    origin, target = sqlite3.connect(source), sqlite3.connect(copy)
    try:
        origin.backup(target)
    finally:
        target.close()
        origin.close()


def _write_archive(target: Path, manifest: Manifest, files: dict[str, Path]) -> None:
    """Write a file that was not there, for nobody else to read."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(target, flags, 0o600)
    except FileExistsError:
        raise OperatorError(
            f"{target} is there: of a backup that is being taken, or was cut off; remove it then"
        ) from None
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        document = orjson.dumps(asdict(manifest))
        archive.addfile(_entry(MANIFEST, len(document)), io.BytesIO(document))
        for name, path in files.items():
            with path.open("rb") as data:
                archive.addfile(_entry(name, path.stat().st_size), data)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
