"""Keys at rest: sealed, private, never overwritten, never shown."""

import json
import os
import pickle
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from eth_account import Account

from node.keystore import (
    PUBLISHED,
    KeystoreError,
    KeystoreExists,
    KeystoreExposed,
    KeystoreMalformed,
    KeystoreMissing,
    PrivateKey,
    PublishedKey,
    WrongPassword,
    create_keystore,
    load_keystore,
    read_address,
    read_password,
)

SECRET = bytes(range(1, 33))
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
LIGHT = 1 << 4


def test_round_trip_in_the_web3_format(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "operator.json"
    key = create_keystore(path, "correct horse", SECRET, scrypt_n=LIGHT)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = load_keystore(path, "correct horse", chain_id=1)
    assert loaded.reveal() == SECRET == bytes(Account.decrypt(path.read_text(), "correct horse"))
    assert loaded.address == key.address == bytes.fromhex(Account.from_key(SECRET).address[2:])
    assert read_address(path) == key.address
    assert SECRET.hex() not in path.read_text()
    fresh = create_keystore(tmp_path / "other.json", "x", scrypt_n=LIGHT)
    assert fresh.reveal() != create_keystore(tmp_path / "third.json", "x", scrypt_n=LIGHT).reveal()


@pytest.mark.parametrize("said", [{}, {"address": None}, {"address": 7}, {"address": "key"}])
def test_a_keystore_need_not_say_its_address(tmp_path: Path, said: dict[str, object]) -> None:
    (tmp_path / "k").write_text(json.dumps(said))
    (tmp_path / "k").chmod(0o600)
    assert read_address(tmp_path / "k") == b""


def test_the_standard_work_factor_is_strong(tmp_path: Path) -> None:
    create_keystore(tmp_path / "k", "p", SECRET)
    assert json.loads((tmp_path / "k").read_text())["crypto"]["kdfparams"]["n"] == 1 << 18


def test_every_refusal_has_its_class_and_shows_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "k"
    create_keystore(path, "right", SECRET, scrypt_n=LIGHT)
    before = path.read_bytes()
    with pytest.raises(KeystoreExists):
        create_keystore(path, "other", scrypt_n=LIGHT)
    assert path.read_bytes() == before
    with pytest.raises(WrongPassword):
        create_keystore(tmp_path / "empty", "")
    with pytest.raises(WrongPassword) as wrong:
        load_keystore(path, "wrong-guess", chain_id=1)
    shown = "".join(traceback.format_exception(wrong.value))
    assert "wrong-guess" not in shown.replace('"wrong-guess"', "")  # but for this source line
    with pytest.raises(KeystoreMissing):
        load_keystore(tmp_path / "nothing", "p", chain_id=1)
    for content in ("", "[]", "{}", '{"version": 4}', '{"version": 3, "crypto": {}}'):
        path.write_text(content)
        with pytest.raises(KeystoreMalformed):
            load_keystore(path, "p", chain_id=1)
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        with pytest.raises(KeystoreExposed):
            load_keystore(path, "p", chain_id=1)


@pytest.mark.parametrize("value", [0, ORDER, ORDER + 1, 2**256 - 1])
def test_numbers_that_are_no_key(value: int) -> None:
    with pytest.raises(KeystoreMalformed) as raised:
        PrivateKey(value.to_bytes(32, "big"))
    assert f"{value:x}" not in str(raised.value) or value == 0


@pytest.mark.parametrize("secret", [b"", b"\1" * 31, b"\1" * 33])
def test_keys_have_32_bytes(secret: bytes) -> None:
    with pytest.raises(KeystoreError):
        PrivateKey(secret)


def test_edges_of_the_key_space_are_keys() -> None:
    assert (
        PrivateKey((1).to_bytes(32, "big")).address
        != PrivateKey((ORDER - 1).to_bytes(32, "big")).address
    )


def test_published_keys_stay_on_the_test_chain(tmp_path: Path) -> None:
    Account.enable_unaudited_hdwallet_features()
    words = "test " * 11 + "junk"
    for index in range(10):
        secret = bytes(Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{index}").key)
        path = tmp_path / str(index)
        assert create_keystore(path, "p", secret, scrypt_n=LIGHT).address in PUBLISHED
        assert load_keystore(path, "p", chain_id=31337).reveal() == secret
        for chain_id in (0, 1, 31336, 31338):
            with pytest.raises(PublishedKey):
                load_keystore(path, "p", chain_id=chain_id)
    assert len(PUBLISHED) == 10


def test_a_key_shows_its_address_only() -> None:
    key = PrivateKey(SECRET)
    for text in (repr(key), str(key), f"{key}", repr([key])):
        assert SECRET.hex() not in text
        assert key.address.hex() in text
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_passwords_come_from_a_file_a_variable_or_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from file\nsecond line")
    environ = {"LODE_PASSWORD": "from variable"}
    assert read_password(file, "LODE_PASSWORD", environ=environ) == "from file"
    assert read_password(None, "LODE_PASSWORD", environ=environ) == "from variable"
    for missing in ({}, {"LODE_PASSWORD": ""}):
        with pytest.raises(WrongPassword):
            read_password(None, "LODE_PASSWORD", environ=missing)
    file.write_text("")
    for nothing in (file, tmp_path / "none", tmp_path):
        with pytest.raises(WrongPassword):
            read_password(nothing, "LODE_PASSWORD", environ=environ)


def test_a_prompt_reads_without_echo() -> None:
    code = "from node.keystore import read_password; print(len(read_password(prompt='Password: ')))"
    master, slave = os.openpty()
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=slave, stdout=subprocess.PIPE, stderr=slave, start_new_session=True
    ) as process:
        shown = b""
        while b"Password: " not in shown:  # what is typed before the prompt is discarded
            shown += os.read(master, 1000)
        os.write(master, b"hunter22\n")
        assert process.stdout is not None
        assert process.stdout.read().split()[-1] == b"8"
    shown += os.read(master, 1000)
    assert b"hunter22" not in shown
    os.close(master)
    os.close(slave)
