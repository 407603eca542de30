"""Bytes from strangers: requests, answers, profiles and networks, each refused for what it is."""

import io
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import (
    Convolution,
    MalformedActivationError,
    MultiExitNetwork,
    NoSuchCutError,
    count_tail,
    encode_profile,
    load_network,
    make_request,
    parse_answer,
    parse_network,
    parse_profile,
    read_answer,
    read_request,
    run_tail,
    save_network,
    verify_request,
    write_answer,
)

MODEL = Path(__file__).parents[2] / "models" / "edge" / "network.npz"
NETWORK = load_network(MODEL)
PROFILE = NETWORK.profile()
PIXELS = bytes(range(64))
ASKED = make_request(NETWORK, "m", "p", (2, 1), PIXELS)


def checked(members: dict[str, Any]) -> None:
    verify_request(PROFILE, read_request(members))


@pytest.mark.parametrize("way_out", range(3))
def test_an_honest_request_is_taken_and_its_answer_is_read(way_out: int) -> None:
    for cut in range(len(NETWORK.layers(way_out))):
        members = orjson.loads(
            orjson.dumps(make_request(NETWORK, "m", "p", (way_out, cut), PIXELS))
        )
        request = read_request(members)
        verify_request(PROFILE, request)
        logits = parse_answer(NETWORK, way_out, run_tail(NETWORK, request.message))
        use = count_tail(PROFILE, way_out, cut)
        written = orjson.loads(orjson.dumps(write_answer(request, logits, use)))
        answer = read_answer(written)
        assert np.float32(answer.logits).tobytes() == NETWORK.run(PIXELS, way_out).tobytes()
        assert answer.label == int(NETWORK.run(PIXELS, way_out).argmax())
        assert written["usage"]["prompt_tokens"] == len(request.activation) == use.input_bytes
        assert written["usage"]["completion_tokens"] == use.work_kflop


def test_a_tail_is_counted_by_its_bytes_and_the_work_behind_its_cut_rounded_up() -> None:
    assert count_tail(PROFILE, 2, 0) == count_tail(PROFILE, 2, 0)
    use = count_tail(PROFILE, 2, 1)
    assert (use.input_bytes, use.work_kflop) == (256, 73)  # 72,960 FLOP
    for place in ((3, 0), (-1, 0), (0, 2), (0, -1), (2, 5)):
        with pytest.raises(NoSuchCutError):
            count_tail(PROFILE, *place)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"exit": 3}, "cut"),
        ({"exit": -1}, "exit"),
        ({"exit": True}, "exit"),
        ({"exit": "2"}, "exit"),
        ({"cut": 5}, "cut"),
        ({"cut": 256}, "cut"),
        ({"cut": 0}, "dtype"),
        ({"cut": 2}, "shape"),
        ({"dtype": "uint8"}, "dtype"),
        ({"dtype": "object"}, "dtype"),
        ({"dtype": None}, "dtype"),
        ({"shape": [8, 8, 2]}, "shape"),
        ({"shape": []}, "shape"),
        ({"shape": [0, 8]}, "shape"),
        ({"shape": [-8, -8]}, "shape"),
        ({"shape": [1 << 21]}, "shape"),
        ({"shape": [1] * 9}, "shape"),
        ({"shape": "884"}, "shape"),
        ({"activation": ""}, "activation"),
        ({"activation": ASKED["activation"][:-4]}, "activation"),
        ({"activation": ASKED["activation"] + "AAAA"}, "activation"),
        ({"activation": "*" * 340}, "activation"),
        ({"activation": "é"}, "activation"),
        ({"activation": [0.5] * 64}, "activation"),
        ({"model": 7}, "model"),
        ({"stream": True}, "stream"),
    ],
)
def test_a_request_that_is_none_names_the_part_at_fault(change: dict[str, Any], param: str) -> None:
    checked(ASKED)
    with pytest.raises(MalformedActivationError) as caught:
        checked(ASKED | change)
    assert caught.value.param == param


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("place", [0, 63])
def test_numbers_that_are_not_finite_are_refused(number: float, place: int) -> None:
    request = read_request(ASKED)
    data = bytearray(request.activation)
    struct.pack_into("<f", data, 4 * place, number)
    with pytest.raises(MalformedActivationError, match="finite"):
        verify_request(PROFILE, replace(request, activation=bytes(data)))


def test_finite_numbers_that_overflow_in_the_tail_are_refused_by_it() -> None:
    request = read_request(ASKED)
    data = np.full(64, 3e38, "<f4").tobytes()
    verify_request(PROFILE, replace(request, activation=data))
    with pytest.raises(MalformedActivationError, match="finite"):
        run_tail(NETWORK, replace(request, activation=data).message)


@given(st.binary(max_size=64), st.integers(0, 255), st.integers(0, 255))
def test_no_bytes_whatever_end_a_tail_otherwise_than_by_refusal(
    body: bytes, way_out: int, cut: int
) -> None:
    try:
        answer = run_tail(NETWORK, bytes((way_out, cut)) + body)
    except MalformedActivationError:
        return
    assert len(answer) == 40


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"label": 0, "logits": []},
        {"label": 1, "logits": [1.0, 0.0]},
        {"label": 0.0, "logits": [1.0, 0.0]},
        {"label": 0, "logits": [1.0, "0"]},
        {"label": 0, "logits": [float("nan"), 0.0]},
        {"label": True, "logits": [0.0, 1.0]},
    ],
)
def test_an_answer_whose_class_is_not_its_largest_number_is_none(document: Any) -> None:
    with pytest.raises(ValueError, match=r"logit"):
        read_answer(document)


def test_a_profile_is_the_same_again_and_a_strangers_is_bounded() -> None:
    good = orjson.loads(orjson.dumps(encode_profile(PROFILE)))
    assert parse_profile(good) == PROFILE
    exits = good["exits"]
    for bad in (
        None,
        {"input_bytes": 64},
        {**good, "input_bytes": 0},
        {**good, "input_bytes": 2.0},
        {**good, "exits": []},
        {**good, "exits": exits * 6},
        {**good, "exits": [{**exits[0], "accuracy_ppm": 10**6 + 1}]},
        {**good, "exits": [{**exits[0], "layers": [[0, 1]]}]},
        {**good, "exits": [{**exits[0], "layers": [[10**13, 1]]}]},
        {**good, "exits": [{**exits[0], "layers": [[1]]}]},
        {**good, "exits": [{**exits[0], "layers": [[1, 1]] * 65}]},
    ):
        with pytest.raises(ValueError, match=r"."):
            parse_profile(bad)


def archive(change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(MODEL) as good:
        entries = {each: good.read(each) for each in good.namelist()}
    change(entries)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return out.getvalue()


def array(value: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(value), allow_pickle=True)
    return out.getvalue()


def claim_more(entries: dict[str, bytes]) -> None:
    """A header that speaks of a terabyte, in front of ten numbers."""
    out = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)}
    np.lib.format.write_array_header_1_0(out, header)
    entries["bias0.npy"] = out.getvalue() + bytes(40)


CHANGES: list[Callable[[dict[str, bytes]], None]] = [
    claim_more,
    lambda entries: entries.pop("weights1.npy") and None,
    lambda entries: entries.update({"bias0.npy": array(np.array([{}], object))}),
    lambda entries: entries.update({"bias0.npy": array(np.float32([np.nan] * 4))}),
    lambda entries: entries.update({"bias0.npy": array(np.float64([0] * 4))}),
    lambda entries: entries.update({"bias0.npy": array(np.float32([0] * 5))}),
    lambda entries: entries.update({"strides.npy": array([-1, 1, 1, 1])}),
    lambda entries: entries.update({"strides.npy": array([9, 1, 1, 1])}),
    lambda entries: entries.update({"strides.npy": array(3)}),
    lambda entries: entries.update({"depths.npy": array([-1, 2, 4])}),
    lambda entries: entries.update({"depths.npy": array([1, 2, 99])}),
    lambda entries: entries.update({"depths.npy": array([1])}),
    lambda entries: entries.update({"input_shape.npy": array([8, 8])}),
    lambda entries: entries.update({"input_shape.npy": array([0, 8, 1])}),
    lambda entries: entries.update({"more.npy": array(np.zeros(1 << 24, np.float32))}),
    lambda entries: entries.update({f"n{i}.npy": array([0]) for i in range(300)}),
    lambda entries: entries.update({"bias0.npy": b"\x93NUMPY\x02\x00"}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_no_sound_network_is_refused(
    change: Callable[[dict[str, bytes]], None],
) -> None:
    assert parse_network(archive(lambda entries: None)).profile() == PROFILE
    with pytest.raises(ValueError, match=r"."):
        parse_network(archive(change))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), bytes(1 << 25)])
def test_bytes_that_are_no_archive_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_network(data)


def test_a_convolution_behind_a_dense_layer_is_refused(tmp_path: Path) -> None:
    first = NETWORK.trunk[0]
    assert isinstance(first, Convolution)
    odd: MultiExitNetwork = replace(NETWORK, trunk=(*NETWORK.trunk[:-1], NETWORK.trunk[-1], first))
    deep = replace(odd.branches[-1], depth=len(odd.trunk))
    save_network(replace(odd, branches=(*odd.branches[:-1], deep)), tmp_path / "odd.npz")
    with pytest.raises(ValueError, match="image"):
        parse_network((tmp_path / "odd.npz").read_bytes())
