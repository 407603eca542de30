"""Commands to a node over the socket in its data directory."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from node.errors import OperatorError
from supplier.fleet import CONTROL, Control, ask_control

pytestmark = pytest.mark.anyio


async def work(request: dict[str, Any], say: Any) -> None:
    for step in ("loading", "serving"):
        say(f"{request['engine']}: {step}")
        await asyncio.sleep(0)


async def fail(request: dict[str, Any], say: Any) -> None:
    say("loading")
    raise OperatorError("it is another model")


async def break_down(request: dict[str, Any], say: Any) -> None:
    raise RuntimeError("a defect")


async def test_a_command_is_followed_step_by_step_by_its_user_only(tmp_path: Path) -> None:
    control, steps = Control(tmp_path / CONTROL, {"change": work, "fail": fail}), []
    (tmp_path / CONTROL).touch()  # left behind by a node that was killed
    async with control.listening():
        assert stat.S_IMODE((tmp_path / CONTROL).stat().st_mode) == 0o600
        await ask_control(tmp_path, {"do": "change", "engine": "a"}, steps.append)
        assert steps == ["a: loading", "a: serving"]
        with pytest.raises(OperatorError, match="it is another model"):
            await ask_control(tmp_path, {"do": "fail"}, steps.append)
        assert steps[2:] == ["loading"]
        with pytest.raises(OperatorError, match="no such command"):
            await ask_control(tmp_path, {"do": "dance"}, steps.append)
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / CONTROL))
        writer.write(b"no json\n")
        assert b"error" in await reader.readline()
        writer.close()
    assert not (tmp_path / CONTROL).exists()


async def test_a_defect_is_not_taken_for_success(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    seen: list[Any] = []
    loop.set_exception_handler(lambda _, context: seen.append(context["exception"]))
    async with Control(tmp_path / CONTROL, {"break": break_down}).listening():
        with pytest.raises(OperatorError, match="see its log"):
            await ask_control(tmp_path, {"do": "break"}, print)
    assert [type(each) for each in seen] == [RuntimeError]


async def test_without_a_node_it_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no supplier serves from"):
        await ask_control(tmp_path, {"do": "change"}, print)


async def test_a_path_may_be_longer_than_the_kernel_takes_of_a_socket(tmp_path: Path) -> None:
    folder, steps = tmp_path / ("long" * 40), []
    folder.mkdir()
    async with Control(folder / CONTROL, {"change": work}).listening():
        await ask_control(folder, {"do": "change", "engine": "a"}, steps.append)
    assert steps == ["a: loading", "a: serving"]


async def test_a_directory_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="no control socket at"):
        async with Control(tmp_path / "nowhere" / CONTROL, {}).listening():
            pass
