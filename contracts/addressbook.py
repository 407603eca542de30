"""Where one deployment's contracts are: written by `contracts.deploy`, read by every node."""

import json
import os
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from contracts.errors import AddressBookError
from relay_mining import Address

CONTRACT_FIELDS = (
    "registry",
    "escrow",
    "sessions",
    "claims",
    "parameters",
    "timelock",
    "token",
    "auction",
)


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The contracts of one deployment; as JSON, camel-case names and `0x` addresses."""

    chain_id: int
    deployment_block: int
    """No event of these contracts is in an earlier block."""
    registry: Address
    escrow: Address
    sessions: Address
    claims: Address
    parameters: Address
    timelock: Address
    token: Address
    auction: Address

    def save(self, path: Path) -> None:
        """Write the book as JSON, in one step: a reader sees the old file or the new one."""
        document: dict[str, object] = {
            "chainId": self.chain_id,
            "deploymentBlock": self.deployment_block,
        } | {name: "0x" + getattr(self, name).hex() for name in CONTRACT_FIELDS}
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)

    @classmethod
    def load(cls, path: Path) -> "AddressBook":
        """Read a book (AddressBookError if it is missing or malformed)."""
        try:
            document = json.loads(path.read_text())
            return cls.parse(document)
        except FileNotFoundError as error:
            raise AddressBookError(
                f"there is no address book at {path}: set chain.address_book, or make one with "
                "`python -m contracts.deploy`"
            ) from error
        except (OSError, ValueError) as error:
            raise AddressBookError(f"the address book at {path} is malformed: {error}") from error

    @classmethod
    def parse(cls, document: Any) -> "AddressBook":
        """The book in a decoded JSON document (ValueError naming the field that is wrong)."""
        expected = {"chainId", "deploymentBlock", *CONTRACT_FIELDS}
        if not isinstance(document, dict) or set(document) != expected:
            raise ValueError(f"its fields are not exactly {', '.join(sorted(expected))}")
        return cls(
            _number("chainId", document["chainId"]),
            _number("deploymentBlock", document["deploymentBlock"]),
            *(_address(name, document[name]) for name in CONTRACT_FIELDS),
        )

    def contracts(self) -> dict[str, Address]:
        """Address of each contract by its field's name."""
        return {each.name: getattr(self, each.name) for each in fields(self)[2:]}


def _number(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} is no block or chain number")
    return value


def _address(name: str, value: object) -> Address:
    if not isinstance(value, str) or not value.startswith("0x") or len(value) != 42:
        raise ValueError(f"{name} is no address")
    return bytes.fromhex(value[2:])
