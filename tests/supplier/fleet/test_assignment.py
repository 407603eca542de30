"""Which engine serves what, and what has to change: as tables."""

from typing import Any

import pytest
from pydantic import ValidationError

from node.errors import OperatorError
from supplier.fleet import Change, Offer, assign_services, plan_change
from supplier.settings import EngineSettings, Settings

RED, BLUE = b"\x01" * 32, b"\x02" * 32
ONE, TWO, THREE = (bytes([number]) * 32 for number in (11, 12, 13))


def offer(name: str, spec_hash: bytes, *services: bytes) -> Offer:
    return Offer(name, spec_hash, b"{}", frozenset(services))


def test_an_engine_serves_all_that_is_of_its_model_or_what_it_is_meant_for() -> None:
    listed = {ONE: RED, TWO: RED, THREE: BLUE}
    offers = [offer("a", RED), offer("b", RED, TWO), offer("c", BLUE)]

    assert assign_services(offers, listed) == {"a": {ONE, TWO}, "b": {TWO}, "c": {THREE}}


@pytest.mark.parametrize(
    ("offers", "listed", "says"),
    [
        ([offer("a", RED)], {ONE: BLUE}, "no engine here: a has"),
        ([offer("a", RED, TWO)], {ONE: RED, TWO: BLUE}, "no engine here: a has"),
        ([offer("a", RED, TWO)], {ONE: RED}, "not among `services`"),
        ([offer("a", RED), offer("b", BLUE)], {ONE: RED}, "engine b serves none"),
        ([offer("a", RED, ONE)], {ONE: RED, TWO: RED}, "no engine here"),
    ],
)
def test_what_does_not_fit_is_refused(
    offers: list[Offer], listed: dict[bytes, bytes], says: str
) -> None:
    with pytest.raises(OperatorError, match=says):
        assign_services(offers, listed)


def engines(**settings: dict[str, Any]) -> dict[str, EngineSettings]:
    return {name: EngineSettings(name=name, **more) for name, more in settings.items()}


def test_only_what_needs_another_process_is_replaced() -> None:
    running = engines(a={}, b={"model": "m"}, c={})
    wanted = engines(d={}, c={"services": ["0x01"]}, b={"model": "other"})

    change = plan_change(running, wanted)

    assert change == Change(begin=("d",), replace=("b",), retire=("a",))
    assert plan_change(running, running) == Change((), (), ())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"engines": [{}, {}]}, "are named engine"),
        ({"engine": {}, "engines": [{"name": "a"}]}, "keep one of them"),
        ({"engines": [{"name": "no spaces"}]}, "engines.0.name"),
    ],
)
def test_engines_are_told_apart(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(**settings)


def test_one_engine_is_picked_by_its_name_or_by_being_the_only_one() -> None:
    one, two = Settings(), Settings.model_validate({"engines": [{"name": "a"}, {"name": "b"}]})

    assert one.pick_engine(None) is one.engine
    assert two.pick_engine("b").name == "b"
    for name in (None, "c"):
        with pytest.raises(OperatorError, match="There are: a, b"):
            two.pick_engine(name)
