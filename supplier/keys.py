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


def load_owner(keys: KeySettings, chain_id: int, raw: str | None = None) -> PrivateKey:
    """The cold key that stakes and withdraws; `raw` is one given on the command line."""
    given = SecretStr(raw) if raw else keys.owner_key
    source = KeySource("supplier", "owner", given, keys.owner_keystore, keys.owner_password_file)
    return source.load(chain_id)
