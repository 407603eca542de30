"""The operator's and the owner's keys, from keystores, or raw on the local network."""

from pathlib import Path

from pydantic import SecretStr

from node.keystore import PrivateKey, load_keystore, read_password, require_unpublished
from supplier.errors import OperatorError
from supplier.settings import LOCALNET_CHAIN_ID, KeySettings


def load_operator(keys: KeySettings, chain_id: int) -> PrivateKey:
    """The hot key that serves and claims; raises OperatorError or KeystoreError."""
    return _load(
        "operator", keys.operator_key, keys.operator_keystore, keys.operator_password_file,
        chain_id,
    )  # fmt: skip


def load_owner(keys: KeySettings, chain_id: int) -> PrivateKey:
    """The cold key that stakes and withdraws; raises OperatorError or KeystoreError."""
    return _load("owner", keys.owner_key, keys.owner_keystore, keys.owner_password_file, chain_id)


def raw_key(text: str, chain_id: int) -> PrivateKey:
    """A key given in the open; on the local network only (OperatorError elsewhere)."""
    if chain_id != LOCALNET_CHAIN_ID:
        raise OperatorError("raw keys are for the local network: make a keystore with `init`")
    try:
        secret = bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise OperatorError("the key is not hexadecimal") from error
    return PrivateKey(secret)


def _load(
    name: str, raw: SecretStr | None, keystore: Path | None, password_file: Path | None,
    chain_id: int,
) -> PrivateKey:  # fmt: skip
    if raw is not None:
        return raw_key(raw.get_secret_value(), chain_id)
    if keystore is None:
        raise OperatorError(f"no {name} key: set keys.{name}_keystore, or run `supplier init`")
    password = read_password(
        password_file, f"SUPPLIER_{name.upper()}_PASSWORD", f"password of the {name} key: "
    )
    key = load_keystore(keystore, password, chain_id=chain_id)
    require_unpublished(key, chain_id)
    return key
