"""Where a node's key comes from: a keystore, or in the open on the local network only."""

from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from node.errors import OperatorError
from node.keystore import (
    LOCALNET_CHAIN_ID,
    PrivateKey,
    load_keystore,
    read_address,
    read_password,
)
from node.settings import parse_hex


@dataclass(frozen=True, slots=True)
class KeySource:
    """How one key of a node was configured; `node` is the command, `name` the key's role."""

    node: str
    name: str
    raw: SecretStr | None
    keystore: Path | None
    password_file: Path | None
    is_attended: bool = True
    """Whether somebody may be asked for the password."""

    def load(self, chain_id: int) -> PrivateKey:
        """The key, for use on `chain_id`; raises OperatorError or KeystoreError."""
        if self.raw is not None:
            return raw_key(self.name, self.raw.get_secret_value(), chain_id)
        if self.keystore is None:
            raise OperatorError(
                f"no {self.name} key: set keys.{self.name}_keystore, or run `{self.node} init`"
            )
        return load_keystore(self.keystore, self.password(), chain_id=chain_id)

    def is_among(self, held: Container[bytes]) -> bool:
        """Whether the key is one of these addresses by what its keystore says, which stays shut."""
        if self.raw is not None or self.keystore is None:
            return False
        return read_address(self.keystore) in held

    def password(self) -> str:
        """The keystore's password: from its file, the environment, or whoever is at a terminal."""
        return read_password(
            self.password_file,
            f"{self.node.upper()}_{self.name.upper()}_PASSWORD",
            f"password of the {self.name} key: " if self.is_attended else None,
        )


def raw_key(name: str, text: str, chain_id: int) -> PrivateKey:
    """A key given in the open; on the local network only (OperatorError elsewhere)."""
    if chain_id != LOCALNET_CHAIN_ID:
        raise OperatorError(
            f"a raw {name} key is taken on the local network (chain {LOCALNET_CHAIN_ID}) only: "
            "make a keystore with `init`"
        )
    return PrivateKey(parse_hex(f"the {name} key", text, 32))
