"""A backup taken beside a writer, put back elsewhere; and archives that somebody else made."""

import hashlib
import io
import json
import stat
import tarfile
from pathlib import Path
from typing import Any

import anyio
import pytest

from node.append_log import AppendLog
from node.errors import OperatorError
from supplier.mining.records import Receipted, encode_record
from supplier.mining.store import STORE, Store
from supplier.operation import backup
from supplier.operation.backup import MANIFEST, read_backup, restore_backup, write_backup
from supplier.operation.ledger import ReceiptReader
from supplier.settings import Settings
from tests.contracts.world import SERVED, World
from tests.supplier.operating import Operating
from tests.supplier.test_earnings import a_record

pytestmark = pytest.mark.anvil

GZIP_HEAD = 32
"""Bytes by which the head of a backup is surely over: its time and name are in no checksum."""


def test_a_supplier_moves_to_another_machine(operator: Operating, tmp_path: Path) -> None:
    operator.serve_session()
    store = Store(operator.folder / "supplier-data" / "supplier.db")
    store.close_session(a_record())
    file, config = tmp_path / "b.tar.gz", tmp_path / "new" / "moved.toml"

    made = operator.cli.run("backup", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    found = operator.cli.run("restore", file, "--config", config)
    store.close()

    assert made["receipts"] == found["receipts"] > 0
    (session,) = found["sessions"]
    assert (session["number"], session["bond_at_risk"]) == (SERVED, 0)
    assert "is claimed by `supplier serve`" in session["says"]
    here, there = (
        operator.cli.run("earnings", "--config", each) for each in (operator.config, config)
    )
    assert here == there
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert "already" in operator.cli.refuse("restore", file, "--config", config)
    assert "exists" in operator.cli.refuse("backup", file)


def test_a_claim_made_after_the_backup_puts_its_bond_at_risk(
    operator: Operating, tmp_path: Path
) -> None:
    claim = operator.claim_session()
    whole, part = tmp_path / "whole.tar.gz", tmp_path / "part.tar.gz"
    operator.cli.run("backup", whole)
    log = next((operator.folder / "supplier-data" / "receipts").glob("*.log"))
    log.write_bytes(log.read_bytes()[:-20])  # its last receipt is torn, as of one that came later
    operator.cli.run("backup", part)

    def rescued(name: str, file: Path) -> tuple[int, str]:
        made = operator.cli.run("restore", file, "--config", tmp_path / name / "supplier.toml")
        (session,) = made["sessions"]
        return session["bond_at_risk"], session["says"]

    assert rescued("a", whole) == (0, "was claimed and can be proved")
    assert rescued("b", part)[0] == claim.bond

    async def too_late(world: World) -> None:
        world.go_to(SERVED + 7)

    operator.act(too_late)
    assert rescued("c", whole) == (0, "too late to claim: it is lost")


def test_what_is_being_written_is_left_out(operator: Operating, tmp_path: Path) -> None:
    """Backups taken while a writer appends hold a whole prefix each."""
    operator.serve_session()
    settings = Settings.load(operator.config)
    receipts = settings.data_dir / "receipts"
    records = [r for r in ReceiptReader(receipts).replay() if isinstance(r, Receipted)]
    counts: list[int] = []

    async def write() -> None:
        async with AppendLog(receipts, segment=f"{SERVED:012d}") as log:
            for number in range(5):
                await log.append(encode_record(records[0]))
                target = tmp_path / f"{number}.tar.gz"
                with next(receipts.glob("*.log")).open("ab") as file:
                    file.write(b"\x80\0\0\x10torn")
                counts.append(write_backup(settings, operator.config, target).receipts)
                with next(receipts.glob("*.log")).open("rb+") as file:
                    file.truncate(file.seek(0, 2) - 8)

    anyio.run(write)

    assert counts == [len(records) + each for each in range(1, 6)]


def test_a_backup_counts_what_is_in_it(
    operator: Operating, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receipt that is written once the log was copied is not in the backup, nor its count."""
    operator.serve_session()
    settings = Settings.load(operator.config)
    receipts = settings.data_dir / "receipts"
    Store(settings.data_dir / STORE).close()
    records = [r for r in ReceiptReader(receipts).replay() if isinstance(r, Receipted)]
    copy_tables = backup._copy_tables

    async def write() -> None:
        async with AppendLog(receipts, segment=f"{SERVED:012d}") as log:
            await log.append(encode_record(records[0]))

    def copy_late(source: Path, copy: Path) -> Any:
        anyio.run(write)
        return copy_tables(source, copy)

    monkeypatch.setattr(backup, "_copy_tables", copy_late)
    assert write_backup(settings, operator.config, tmp_path / "b").receipts == len(records)


def test_what_stands_where_a_backup_is_written_is_neither_used_nor_followed(
    operator: Operating, tmp_path: Path
) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "b"
    elsewhere.write_bytes(b"mine")
    for make in (Path.touch, lambda path: path.symlink_to(elsewhere)):
        partial = tmp_path / "b.partial"
        make(partial)
        assert "is there" in operator.cli.refuse("backup", target)
        partial.unlink()
    assert (elsewhere.read_bytes(), list(tmp_path.glob("*b*"))) == (b"mine", [])


def test_a_flipped_bit_is_told_as_damage_where_it_says_anything(
    operator: Operating, tmp_path: Path
) -> None:
    """A few bits of a compressed file say nothing, as those that fill its last byte."""
    good, bad = tmp_path / "good.tar.gz", tmp_path / "bad.tar.gz"
    operator.cli.run("backup", good)
    whole, undamaged = good.read_bytes(), read_backup(good)
    places = range(GZIP_HEAD, len(whole), 97)
    told = 0
    for at in places:
        bad.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            assert read_backup(bad) == undamaged
        except OperatorError:
            told += 1
    assert told > 0.9 * len(places)


def pack(path: Path, members: dict[str, bytes], **types: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.type = types.get("type", tarfile.REGTYPE)
            entry.linkname = "/etc/passwd"
            archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return path


def a_manifest(**values: object) -> bytes:
    return json.dumps(
        {"format": 1, "created": 0.0, "supplier": "", "receipts": 0, "files": {}, **values}
    ).encode()


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({MANIFEST: a_manifest(), "../evil": b""}, "has no place"),
        ({MANIFEST: a_manifest(), "/etc/cron.d/evil": b""}, "has no place"),
        ({MANIFEST: a_manifest(), "data/receipts/../../evil.log": b""}, "has no place"),
        ({MANIFEST: a_manifest(), "supplier.toml\n": b""}, "has no place"),
        ({MANIFEST: a_manifest(format=2)}, "format 2"),
        ({MANIFEST: a_manifest(more=1)}, "no whole backup"),
        ({MANIFEST: b"{"}, "no whole backup"),
        ({}, "no whole backup"),
        ({MANIFEST: a_manifest(), "supplier.toml": b""}, "is damaged"),
        ({MANIFEST: a_manifest(files={"supplier.toml": "00"}), "supplier.toml": b""}, "damaged"),
        ({MANIFEST: a_manifest()}, "is damaged"),
    ],
    ids=range(11),
)
def test_an_archive_that_is_none_of_ours_writes_nothing(
    operator: Operating, tmp_path: Path, members: dict[str, bytes], says: str
) -> None:
    config = tmp_path / "new" / "supplier.toml"
    file = pack(tmp_path / "evil.tar.gz", members)

    assert says in operator.cli.refuse("restore", file, "--config", config)
    assert not config.parent.exists()


def test_links_and_cut_archives_are_refused(operator: Operating, tmp_path: Path) -> None:
    config = tmp_path / "new" / "supplier.toml"
    link = pack(tmp_path / "link.tar.gz", {"supplier.toml": b""}, type=tarfile.SYMTYPE)
    assert "has no place" in operator.cli.refuse("restore", link, "--config", config)
    operator.cli.run("backup", tmp_path / "good.tar.gz")
    cut = tmp_path / "cut.tar.gz"
    whole = (tmp_path / "good.tar.gz").read_bytes()
    cut.write_bytes(whole[: len(whole) // 2])
    assert "no whole backup" in operator.cli.refuse("restore", cut, "--config", config)
    assert not config.parent.exists()
    manifest, _ = read_backup(tmp_path / "good.tar.gz")
    assert manifest == restore_backup(tmp_path / "good.tar.gz", config)


SETTINGS = b"""data_dir = "old"
[chain]
address_book = "/elsewhere/book.json"
[keys]
operator_keystore = "/elsewhere/operator.json"
"""


def a_backup(path: Path) -> Path:
    files = {
        "supplier.toml": SETTINGS, "operator.json": b"{}", "addressbook.json": b"{}",
        "data/receipts/000000000007.log": b"receipts",
    }  # fmt: skip
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return pack(path, {MANIFEST: a_manifest(files=digests), **files})


def test_a_restore_that_is_cut_off_leaves_nothing_to_start_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, config = a_backup(tmp_path / "b.tar.gz"), tmp_path / "new" / "supplier.toml"
    write, left = Path.write_bytes, 2

    def write_some(path: Path, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_some)
    with pytest.raises(OperatorError, match="No space left"):
        restore_backup(file, config)
    monkeypatch.undo()
    assert list(config.parent.iterdir()) == []
    restore_backup(file, config)
    names = sorted(each.name for each in config.parent.iterdir())
    assert names == ["addressbook.json", "operator.json", "supplier-data", "supplier.toml"]
    assert 'data_dir = "supplier-data"' in config.read_text()
    (log,) = (config.parent / "supplier-data" / "receipts").iterdir()
    assert log.read_bytes() == b"receipts"


def test_the_settings_are_put_in_place_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, config = a_backup(tmp_path / "b.tar.gz"), tmp_path / "new" / "supplier.toml"
    placed: list[str] = []
    rename = Path.rename

    def note(path: Path, target: Path) -> Path:
        placed.append(target.name)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", note)
    restore_backup(file, config)
    assert placed[-1] == "supplier.toml"
    assert len(placed) == 4
