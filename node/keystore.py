"""Private keys at rest (Web3 Secret Storage, version 3) and in memory without leaking.

A key is never in a repr, a log line or an error; `PrivateKey.reveal()` is the one way to its bytes.
"""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from node.telemetry import hide
from relay_mining import Signer

KEY_BYTES = 32
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of secp256k1 (SEC 2, section 2.4.1): private keys are below it."""

LOCALNET_CHAIN_ID = 31337
# Addresses of the ten keys that anvil and hardhat print for everyone to read.
PUBLISHED = frozenset(
    bytes.fromhex(text)
    for text in (
        "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
        "70997970c51812dc3a010c7d01b50e0d17dc79c8",
        "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
        "90f79bf6eb2c4f870365e785982e1f101e93b906",
        "15d34aaf54267db7d7c367839aaf71a00a2c6a65",
        "9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
        "976ea74026e726554db657fa54763abd0c3a0aa9",
        "14dc79964da2c08b23698b3d3cc7ca32193d9955",
        "23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
        "a0ee7a142d267c1f36714e4a8f75612f20a79720",
    )
)


class KeystoreError(Exception):
    """Anything that keeps a key from being made or used."""


class KeystoreMissing(KeystoreError):
    """There is no such file."""


class KeystoreExists(KeystoreError):
    """A key is there already and is never overwritten."""


class KeystoreExposed(KeystoreError):
    """Others on this machine can read the file."""


class KeystoreMalformed(KeystoreError):
    """The file is not a version 3 keystore."""


class WrongPassword(KeystoreError):
    """The password does not open the file, or there is none to try."""


class PublishedKey(KeystoreError):
    """A key everybody knows was to be used where money is real."""


class PrivateKey:
    """A secp256k1 private key that shows its address only."""

    __slots__ = ("_secret", "address")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise KeystoreMalformed("a private key has 32 bytes")
        if not 0 < int.from_bytes(secret, "big") < CURVE_ORDER:
            raise KeystoreMalformed("not a secp256k1 private key")
        self._secret = secret
        self.address = Signer(secret).address
        hide(secret.hex())

    def reveal(self) -> bytes:
        """Return the 32 secret bytes, to hand to a signer and to nothing else."""
        return self._secret

    def __repr__(self) -> str:
        return f"PrivateKey(0x{self.address.hex()})"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("private keys are not pickled")


def create_keystore(
    path: str | Path,
    password: str,
    secret: bytes | None = None,
    *,
    scrypt_n: int = 1 << 18,
) -> PrivateKey:
    """Write a new keystore with mode 0600 and return its key, fresh where `secret` is None.

    Raises KeystoreExists rather than overwrite, and WrongPassword for an empty password.
    """
    from eth_account import Account  # slow to load: for those who open or write a keystore

    if not password:
        raise WrongPassword("an empty password protects nothing")
    path = Path(path)
    key = PrivateKey(os.urandom(KEY_BYTES) if secret is None else secret)
    content = Account.encrypt(key.reveal(), password, kdf="scrypt", iterations=scrypt_n)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeystoreExists(f"{path} exists") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    return key


def load_keystore(path: str | Path, password: str, *, chain_id: int) -> PrivateKey:
    """Return the key of a keystore, for use on `chain_id`; raises KeystoreError.

    A published test key is refused on every chain but the local test chain, 31337.
    """
    from eth_account import Account

    content = _read(Path(path))
    try:
        secret = bytes(Account.decrypt(content, password))
    except ValueError:
        raise WrongPassword(f"the password does not open {path}") from None
    except (KeyError, TypeError, NotImplementedError):
        raise KeystoreMalformed(f"{path} is not a version 3 keystore") from None
    key = PrivateKey(secret)
    require_unpublished(key, chain_id)
    return key


def read_address(path: str | Path) -> bytes:
    """The address that a keystore says its key has, empty where it says none; opens nothing."""
    said = str(_read(Path(path)).get("address", ""))
    try:
        return bytes.fromhex(said.removeprefix("0x"))
    except ValueError:
        return b""


def require_unpublished(key: PrivateKey, chain_id: int) -> None:
    """Raise PublishedKey where a key known to everybody would be used outside a test chain."""
    if chain_id != LOCALNET_CHAIN_ID and key.address in PUBLISHED:
        raise PublishedKey(f"0x{key.address.hex()} is a published test key")


def read_password(
    file: str | Path | None = None,
    variable: str | None = None,
    prompt: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the password from a file (its first line), a variable, or whoever is at the terminal.

    The first source that is named and holds something wins; raises WrongPassword where none does.
    """
    if file is not None:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise WrongPassword(f"no password in {file}: {type(error).__name__}") from None
        password = lines[0] if lines else ""
    else:
        password = (os.environ if environ is None else environ).get(variable or "", "")
        if not password and prompt is not None and sys.stdin.isatty():
            password = getpass.getpass(prompt)
    if not password:
        raise WrongPassword(f"no password: name a file that holds it, or set {variable}")
    hide(password)
    return password


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeystoreExposed(f"{path} is open to others: chmod 600 it")
            content = json.load(file)
    except FileNotFoundError:
        raise KeystoreMissing(f"{path} does not exist") from None
    except ValueError:
        raise KeystoreMalformed(f"{path} is not JSON") from None
    if not isinstance(content, dict):
        raise KeystoreMalformed(f"{path} is not a JSON object")
    return content
