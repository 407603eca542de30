"""Settings read again: what changed is applied once, what does not work changes nothing."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from node.errors import SettingsError
from node.reloading import Reloader, changed_names
from supplier.settings import Settings

pytestmark = pytest.mark.anyio


def settings(**values: object) -> Settings:
    return Settings.model_validate(values)


def test_changes_are_named_without_their_values() -> None:
    new = settings(
        supplier_id="0x01", credit={"receipt_due_s": 9.0}, keys={"owner_key": "0xsecret"},
        server={"tls": {"key": "k.pem"}},
    )  # fmt: skip
    assert list(changed_names(settings(), settings())) == []
    assert list(changed_names(settings(), new)) == [
        "supplier_id", "keys.owner_key", "server.tls.key", "credit.receipt_due_s",
    ]  # fmt: skip


def refuse() -> Settings:
    raise SettingsError("credit.receipt_due_s: not a number")


@pytest.mark.parametrize("reread", [refuse, lambda: settings(credit={"receipt_due_s": 3.0})])
async def test_what_does_not_work_changes_nothing(
    reread: Callable[[], Settings], caplog: pytest.LogCaptureFixture
) -> None:
    def apply(new: Settings) -> None:
        raise SettingsError("no such key")

    reloader = Reloader(settings(), reread, {"credit": apply})
    with caplog.at_level(logging.INFO):
        await reloader.reload()
        await reloader.reload()  # still not applied, so it is tried again

    assert [each.levelname for each in caplog.records] == ["ERROR", "ERROR"]
    assert "the old settings stay" in caplog.text


async def test_each_section_is_applied_once_and_the_rest_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    applied: list[float] = []
    new = settings(credit={"receipt_due_s": 3.0, "interim_units": 1}, server={"port": 1})
    reloader = Reloader(
        settings(), lambda: new, {"credit": lambda s: applied.append(s.credit.receipt_due_s)}
    )
    with caplog.at_level(logging.INFO):
        await reloader.reload()
        await reloader.reload()

    assert applied == [3.0]
    assert caplog.records[0].wait_for_a_restart == ["server.port"]  # type: ignore[attr-defined]
    assert caplog.records[1].changed == ()  # type: ignore[attr-defined]


async def test_whoever_serves_goes_on_and_hangups_are_heard_one_after_another() -> None:
    loop, reading, read_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    steps: list[str] = []

    def reread() -> Settings:  # as one that opens a keystore
        steps.append("read")
        loop.call_soon_threadsafe(reading.set)
        assert read_on.wait(10)
        return settings(credit={"receipt_due_s": float(len(steps))})

    async def apply(new: Settings) -> None:
        steps.append("apply")
        await asyncio.sleep(0)
        steps.append("applied")

    reloader = Reloader(settings(), reread, {"credit": apply})
    async with asyncio.timeout(10):
        reloader.begin()
        await reading.wait()  # the loop runs while it is read
        reloader.begin()
        read_on.set()
        while len(steps) < 6:
            await asyncio.sleep(0.01)
    assert steps == ["read", "apply", "applied"] * 2
