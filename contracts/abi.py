"""Encoding and decoding by the committed artifacts: bytes and ints here, the ABI's words there.

Addresses are 20 bytes on this side in both directions. Structs are tuples, in the field order of
their Solidity declaration.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from eth_abi.abi import encode as abi_encode
from eth_abi.codec import ABIDecoder
from eth_abi.decoding import StringDecoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals
from eth_abi.registry import registry as standard_types

from contracts.errors import UnreadableAnswerError
from relay_mining import keccak

ARTIFACTS = Path(__file__).parent / "artifacts"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input or output: its name, its canonical type, and its parts if it is a struct."""

    name: str
    type: str
    components: tuple["Parameter", ...] = ()
    is_indexed: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A function, an event or an error, with its selector or topic."""

    name: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    signature_hash: bytes

    @property
    def selector(self) -> bytes:
        """The first 4 bytes of the signature's hash."""
        return self.signature_hash[:4]


@dataclass(frozen=True, slots=True)
class Abi:
    """One contract's interface, and the code that deploys it."""

    contract: str
    functions: Mapping[str, Item]
    events: Mapping[bytes, Item]
    errors: Mapping[bytes, Item]
    constructor: tuple[Parameter, ...]
    bytecode: bytes

    def encode_call(self, function: str, *arguments: object) -> bytes:
        """Call data of a function (KeyError if the contract has none of that name)."""
        item = self.functions[function]
        return item.selector + encode_values(item.inputs, arguments)

    def decode_result(self, function: str, data: bytes) -> tuple[Any, ...]:
        """What a function returned, always as a tuple (UnreadableAnswerError if it did not)."""
        return decode_answer(
            f"a result of {self.contract}.{function}", self.functions[function].outputs, data
        )

    def event(self, name: str) -> Item:
        """The event of a name."""
        return next(each for each in self.events.values() if each.name == name)

    def encode_deployment(self, *arguments: object) -> bytes:
        """Init code followed by the constructor's arguments."""
        return self.bytecode + encode_values(self.constructor, arguments)


@cache
def load_abi(contract: str) -> Abi:
    """The interface of a contract from its committed artifact (FileNotFoundError if none)."""
    artifact = json.loads((ARTIFACTS / f"{contract}.json").read_text())
    items: dict[str, list[dict[str, Any]]] = {}
    for entry in artifact["abi"]:
        items.setdefault(entry["type"], []).append(entry)
    functions = [_item(entry) for entry in items.get("function", [])]
    events = [_item(entry) for entry in items.get("event", [])]
    errors = [_item(entry) for entry in items.get("error", [])]
    constructor = items.get("constructor", [{"inputs": []}])[0]
    code = artifact["bytecode"]
    code = code["object"] if isinstance(code, dict) else code
    return Abi(
        contract=contract,
        functions=MappingProxyType({each.name: each for each in functions}),
        events=MappingProxyType({each.signature_hash: each for each in events}),
        errors=MappingProxyType({each.selector: each for each in errors}),
        constructor=_parameters(constructor["inputs"]),
        bytecode=bytes.fromhex(code.removeprefix("0x")),
    )


def encode_values(parameters: Sequence[Parameter], values: Sequence[object]) -> bytes:
    """ABI encoding of a parameter list (TypeError or ValueError for what does not fit)."""
    if len(parameters) != len(values):
        raise TypeError(f"{len(values)} values for {len(parameters)} parameters")
    return abi_encode([each.type for each in parameters], values)


def _build_decoder() -> ABIDecoder:
    """A decoder whose text need not be UTF-8.

    A contract takes any bytes, and who writes them is a stranger: refusing them would let one
    registration stop everybody who reads the events.
    """
    types = standard_types.copy()  # type: ignore[no-untyped-call]
    text = StringDecoder(handle_string_errors="replace")  # type: ignore[no-untyped-call]
    types.unregister_decoder("string")
    types.register_decoder(BaseEquals("string", with_sub=False), text)  # type: ignore[no-untyped-call]
    return ABIDecoder(types)


DECODER = _build_decoder()


def decode_values(parameters: Sequence[Parameter], data: bytes) -> tuple[Any, ...]:
    """Values of a parameter list (eth_abi's DecodingError for malformed data)."""
    try:
        values = DECODER.decode([each.type for each in parameters], data)
    except OverflowError as error:  # an offset may be any 256 bits
        raise DecodingError("an offset beyond the data") from error
    return tuple(_normalize(each, value) for each, value in zip(parameters, values, strict=True))


def decode_answer(what: str, parameters: Sequence[Parameter], data: bytes) -> tuple[Any, ...]:
    """Values that an endpoint says are on the chain; `what` they are is for the error's text.

    Raises UnreadableAnswerError: no contract returns or logs what does not fit its interface.
    """
    try:
        return decode_values(parameters, data)
    except DecodingError as error:
        raise UnreadableAnswerError("an endpoint", what) from error


def _normalize(parameter: Parameter, value: Any) -> Any:
    if parameter.type.endswith("]"):
        inner = Parameter("", parameter.type[: parameter.type.rindex("[")], parameter.components)
        return tuple(_normalize(inner, each) for each in value)
    if parameter.components:
        return tuple(map(_normalize, parameter.components, value))
    if parameter.type == "address":
        return bytes.fromhex(value.removeprefix("0x"))
    return value


def _item(entry: dict[str, Any]) -> Item:
    inputs = _parameters(entry["inputs"])
    signature = f"{entry['name']}({','.join(each.type for each in inputs)})"
    return Item(
        name=entry["name"],
        inputs=inputs,
        outputs=_parameters(entry.get("outputs", [])),
        signature_hash=keccak(signature.encode()),
    )


def _parameters(entries: Sequence[dict[str, Any]]) -> tuple[Parameter, ...]:
    return tuple(_parameter(each) for each in entries)


def _parameter(entry: dict[str, Any]) -> Parameter:
    components = _parameters(entry.get("components", []))
    kind = entry["type"]
    if kind.startswith("tuple"):
        kind = f"({','.join(each.type for each in components)})" + kind.removeprefix("tuple")
    return Parameter(entry.get("name", ""), kind, components, entry.get("indexed", False))
