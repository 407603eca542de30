"""Every refusal of the contracts has a decision and a remedy; no revert data breaks a reader."""

import contracts
from contracts import ContractError, UnknownRevertError
from contracts.abi import encode_values, load_abi
from contracts.remedies import REMEDIES
from contracts.reverts import declared_errors, decode_revert
from relay_mining import ProofFault


def test_every_declared_error_has_a_remedy_and_the_reverse() -> None:
    assert declared_errors() == set(REMEDIES)
    for kind, remedy in REMEDIES.values():
        assert kind is not ContractError
        assert remedy


def test_the_verdicts_of_a_proof_are_those_of_the_reference() -> None:
    """All but the salt's: on the chain the salt is part of the receipt's hash."""
    declared = {each.removeprefix("Proof_") for each in declared_errors() if "Proof_" in each}
    assert declared == {each.value for each in ProofFault} - {ProofFault.SALT_MISMATCH.value}


def test_an_error_is_decoded_with_its_values() -> None:
    item = next(
        each for each in load_abi("Errors").errors.values() if each.name == "Claims_OverSlice"
    )
    error = decode_revert(item.selector + encode_values(item.inputs, (7, 6)))
    assert isinstance(error, contracts.InvalidCallError)
    assert dict(error.values) == {"value": 7, "slice": 6}
    assert str(error).startswith("Claims_OverSlice(value=7, slice=6): ")


def test_hostile_revert_data_is_only_unknown() -> None:
    selectors = [b"", bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71"), b"\1\2\3\4"]
    selectors += list(load_abi("Errors").errors)
    for selector in selectors:
        for body in (b"", b"\xff", b"\xff" * 31, b"\xff" * 32, b"\xff" * 64):
            assert isinstance(decode_revert(selector + body), ContractError)
    assert isinstance(decode_revert(None), UnknownRevertError)


def test_the_door_holds_what_it_says() -> None:
    assert sorted(contracts.__all__) == sorted(set(contracts.__all__))
    for name in contracts.__all__:
        assert hasattr(contracts, name)
