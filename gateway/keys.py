"""The gateway's keys: the owner's, which holds money, and the signing key, which signs relays."""

from pathlib import Path

from pydantic import SecretStr

from gateway.errors import SetupError
from gateway.settings import KeySettings
from node.keystore import PrivateKey, load_keystore, read_password, require_unpublished
from relay_mining import Address, Signer

LOCALNET_CHAIN_ID = 31337


def parse_hex(name: str, text: str, length: int) -> bytes:
    """The bytes of a 0x hex string of exactly `length` bytes (SetupError otherwise)."""
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise SetupError(f"{name} is not hex") from error
    if len(value) != length:
        raise SetupError(f"{name} has {len(value)} bytes instead of {length}")
    return value


def load_owner(settings: KeySettings, chain_id: int, raw: str | None = None) -> PrivateKey:
    """The owner's key; `raw` is one given on the command line."""
    key = SecretStr(raw) if raw else settings.owner_key
    return _load("owner", key, settings.owner_keystore, settings.owner_password_file, chain_id)


def load_signing(settings: KeySettings, chain_id: int) -> PrivateKey:
    """The key that signs relays and receipts."""
    return _load(
        "signing",
        settings.signing_key,
        settings.signing_keystore,
        settings.signing_password_file,
        chain_id,
    )


def load_keyring(settings: KeySettings, chain_id: int) -> dict[Address, Signer]:
    """The signing key and the ones before it, by address."""
    secrets = [load_signing(settings, chain_id)]
    for path in settings.former_signing_keystores:
        password = read_password(settings.signing_password_file, "GATEWAY_SIGNING_PASSWORD")
        secrets.append(load_keystore(path, password, chain_id=chain_id))
    return {key.address: Signer(key.reveal()) for key in secrets}


def _load(
    name: str, raw: SecretStr | None, keystore: Path | None, password: Path | None, chain_id: int
) -> PrivateKey:
    if raw is not None:
        if chain_id != LOCALNET_CHAIN_ID:
            raise SetupError(f"a raw {name} key is taken on chain {LOCALNET_CHAIN_ID} only")
        key = PrivateKey(parse_hex(f"the {name} key", raw.get_secret_value(), 32))
        require_unpublished(key, chain_id)
        return key
    if keystore is None:
        raise SetupError(f"set keys.{name}_keystore, or run `gateway init`")
    variable = f"GATEWAY_{name.upper()}_PASSWORD"
    return load_keystore(keystore, read_password(password, variable), chain_id=chain_id)
