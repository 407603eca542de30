"""What a command prints, for people and for programs."""

import json
from dataclasses import dataclass

import pytest

from node.output import Output


@dataclass(frozen=True, slots=True)
class Funds:
    owner: bytes
    amount: int


def use(output: Output) -> None:
    output.line("[bold]hello[/bold]")
    output.table("Funds", ["who", "how much"], [[b"\1\2", 2**95], ["[x]", None]])
    with output.progress("working", total=3) as advance:
        advance(3)
    with output.progress("waiting") as advance:
        advance(1)
    output.done({"funds": Funds(b"\1", 2**95), "list": (1, None, True), "text": "line\nbreak"})


def test_programs_get_one_object_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    use(Output(json=True))
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "funds": {"owner": "0x01", "amount": 2**95},
        "list": [1, None, True],
        "text": "line\nbreak",
    }
    assert "[bold]hello[/bold]" in err


def test_people_get_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    use(Output())
    out, _ = capsys.readouterr()
    for text in ("[bold]hello[/bold]", "how much", "0x0102", str(2**95), "[x]"):
        assert text in out


@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_ends_once_and_failure_is_an_object_too(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(json=as_json)
    output.failed("no funds", "insufficient")
    out, err = capsys.readouterr()
    assert "insufficient: no funds" in err
    expected = {"error": {"code": "insufficient", "message": "no funds"}}
    assert (json.loads(out) == expected) if as_json else out == ""
    with pytest.raises(RuntimeError):
        output.done()
