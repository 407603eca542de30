"""The gateway's keys: the owner's, which holds money, and the signing key, which signs relays."""

from collections.abc import Container, Iterable
from dataclasses import replace

from pydantic import SecretStr

from gateway.settings import KeySettings
from node.keys import KeySource
from node.keystore import PrivateKey, load_keystore
from relay_mining import Address, Signer


def load_owner(keys: KeySettings, chain_id: int, raw: str | None = None) -> PrivateKey:
    """The owner's key; `raw` is one given on the command line."""
    given = SecretStr(raw) if raw else keys.owner_key
    source = KeySource("gateway", "owner", given, keys.owner_keystore, keys.owner_password_file)
    return source.load(chain_id)


def load_signing(keys: KeySettings, chain_id: int) -> PrivateKey:
    """The key that signs relays and receipts."""
    return signing_source(keys).load(chain_id)


def load_keyring(keys: KeySettings, chain_id: int) -> dict[Address, Signer]:
    """The signing key, the ones before it and the next one, by address."""
    return _open(_ring(signing_source(keys), keys), chain_id)


def load_missing(
    keys: KeySettings, chain_id: int, held: Container[Address]
) -> dict[Address, Signer]:
    """Those of the keyring that are not held yet; nobody is asked for a password."""
    source = replace(signing_source(keys), is_attended=False)
    return _open([each for each in _ring(source, keys) if not each.is_among(held)], chain_id)


def _ring(source: KeySource, keys: KeySettings) -> list[KeySource]:
    others = (keys.next_signing_keystore, *keys.former_signing_keystores)
    return [source, *(replace(source, raw=None, keystore=path) for path in others if path)]


def _open(sources: Iterable[KeySource], chain_id: int) -> dict[Address, Signer]:
    found = [each.load(chain_id) for each in sources]
    return {key.address: Signer(key.reveal()) for key in found}


def load_next_signing(keys: KeySettings, chain_id: int) -> PrivateKey | None:
    """The key that is to sign after the next rotation; None where none is under way."""
    path = keys.next_signing_keystore
    if path is None:
        return None
    return load_keystore(path, signing_source(keys).password(), chain_id=chain_id)


def signing_source(keys: KeySettings) -> KeySource:
    """Where the signing key comes from."""
    return KeySource(
        "gateway", "signing", keys.signing_key, keys.signing_keystore, keys.signing_password_file
    )
