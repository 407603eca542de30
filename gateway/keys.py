"""The gateway's keys: the owner's, which holds money, and the signing key, which signs relays."""

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
    source = signing_source(keys)
    upcoming = load_next_signing(keys, chain_id)
    found = [source.load(chain_id), *([] if upcoming is None else [upcoming])] + [
        load_keystore(path, source.password(), chain_id=chain_id)
        for path in keys.former_signing_keystores
    ]
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
