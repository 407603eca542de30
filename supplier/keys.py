"""The operator's and the owner's keys, from keystores, or raw on the local network."""

from pydantic import SecretStr

from node.keys import KeySource
from node.keystore import PrivateKey
from supplier.settings import KeySettings


def load_operator(keys: KeySettings, chain_id: int) -> PrivateKey:
    """The hot key that serves and claims; raises OperatorError or KeystoreError."""
    source = KeySource(
        "supplier",
        "operator",
        keys.operator_key,
        keys.operator_keystore,
        keys.operator_password_file,
    )
    return source.load(chain_id)


def load_next_operator(keys: KeySettings, chain_id: int) -> PrivateKey | None:
    """The key that takes over at a session boundary; None where none is set."""
    if keys.next_operator_key is None and keys.next_operator_keystore is None:
        return None
    source = KeySource(
        "supplier",
        "operator",
        keys.next_operator_key,
        keys.next_operator_keystore,
        keys.next_operator_password_file,
    )
    return source.load(chain_id)


def load_operators(keys: KeySettings, chain_id: int) -> tuple[PrivateKey, ...]:
    """The hot keys, the one in office first; raises OperatorError or KeystoreError."""
    upcoming = load_next_operator(keys, chain_id)
    operator = load_operator(keys, chain_id)
    return (operator,) if upcoming is None else (operator, upcoming)


def load_owner(keys: KeySettings, chain_id: int, raw: str | None = None) -> PrivateKey:
    """The cold key that stakes and withdraws; `raw` is one given on the command line."""
    given = SecretStr(raw) if raw else keys.owner_key
    source = KeySource("supplier", "owner", given, keys.owner_keystore, keys.owner_password_file)
    return source.load(chain_id)
