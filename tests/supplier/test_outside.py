"""What gateways say of a supplier: asked over real sockets, read strictly, judged by doctor."""

from typing import Any

import orjson
import pytest

from node.http import ClientPool, Request, Response, serve
from supplier.dialling import Place
from supplier.operation.doctor.finding import Verdict
from supplier.operation.doctor.reach_checks import judge_reaches
from supplier.operation.outside import TEXT_MAX, Outside, Reach, Regard
from tests.factories import GATEWAY, SUPPLIER

pytestmark = pytest.mark.anyio
NAME = "0x" + SUPPLIER.hex()
PAGE: dict[str, Any] = {
    "standing": "good", "credit_units": 500, "owed_units": 3, "tries": 9, "answers": 8,
    "faults": 1, "prices": [{"model": "tiny", "price": 7, "rank": 2, "of": 3}],
}  # fmt: skip


async def ask(pages: dict[str, tuple[int, Any]]) -> tuple[str, list[Regard], list[Reach]]:
    """Ask a gateway that answers these pages, by path, at a URL that ends with a slash."""

    async def answer(request: Request) -> Response:
        status, page = pages.get(request.path.decode(), (404, {}))
        return Response(status, page if isinstance(page, bytes) else orjson.dumps(page))

    server = await serve(answer)
    url = f"http://127.0.0.1:{server.port}/v1"
    async with ClientPool() as pool:
        outside = Outside(pool, [Place(GATEWAY, url + "/")], SUPPLIER)
        found = url, await outside.regards(), await outside.reaches()
    await server.close(0)
    return found


async def test_a_gateway_s_word_is_read_from_its_pages() -> None:
    reach = {"supplier": NAME, "url": "http://s", "is_reached": False, "why": "refused"}
    pages = {f"/v1/suppliers/{NAME}": (200, PAGE), f"/v1/reach/{NAME}": (200, reach)}

    url, regards, reaches = await ask(pages)

    assert regards == [Regard(url, "good", 500, 3, 9, 8, 1, ("2 of 3 for tiny",))]
    assert reaches == [Reach(url, False, "refused")]


@pytest.mark.parametrize(
    "page",
    [
        b"", b"<html>", [], 7, {}, {**PAGE, "standing": 1}, {**PAGE, "tries": "9"},
        {**PAGE, "tries": True}, {**PAGE, "prices": 1}, {**PAGE, "prices": [{}]},
        {**PAGE, "prices": [{"model": 1, "rank": 1, "of": 1}]},
        {**PAGE, "prices": [{"model": "m", "rank": None, "of": 1}]},
    ],
)  # fmt: skip
async def test_what_a_gateway_cannot_have_meant_is_not_shown(page: Any) -> None:
    pages = {f"/v1/{each}/{NAME}": (200, page) for each in ("suppliers", "reach")}
    _, (regard,), (reach,) = await ask(pages)

    assert (regard.standing, regard.tries, regard.prices) == ("", 0, ())
    assert regard.error
    assert reach.is_reached is None


async def test_a_gateway_that_is_older_or_away_says_nothing() -> None:
    _, (regard,), (reach,) = await ask({})
    assert "404" in regard.error
    assert (reach.is_reached, "404" in reach.why) == (None, True)
    async with ClientPool() as pool:
        nobody = Outside(pool, [Place(GATEWAY, "http://127.0.0.1:1")], SUPPLIER)
        assert "does not answer" in (await nobody.regards())[0].error
        assert (await nobody.reaches())[0].is_reached is None


async def test_a_long_word_is_cut() -> None:
    reach = {"is_reached": False, "why": "x" * 10_000}
    _, _, (found,) = await ask({f"/v1/reach/{NAME}": (200, reach)})
    assert len(found.why) == TEXT_MAX


def test_one_gateway_that_does_not_reach_it_is_a_warning_and_all_are_a_failure() -> None:
    good, bad = Reach("http://a", True), Reach("http://b", False, "refused")
    silent = Reach("http://c", None, "it does not say")

    def verdicts(*reaches: Reach, is_serving: bool = True) -> list[Verdict]:
        return [each.verdict for each in judge_reaches(reaches, is_serving)]

    assert verdicts(good, bad, silent) == [Verdict.OK, Verdict.WARNING, Verdict.SKIPPED]
    assert verdicts(bad, silent) == [Verdict.FAILED, Verdict.SKIPPED]
    assert verdicts() == verdicts(bad, is_serving=False) == [Verdict.SKIPPED]
