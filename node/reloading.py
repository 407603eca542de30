"""Reading the settings again while the node serves: what can change does, the rest is named."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from node.errors import OperatorError
from node.keystore import KeystoreError

log = logging.getLogger(__name__)

S = TypeVar("S", bound=BaseModel)
Target = Callable[[S], Awaitable[None] | None]
"""Takes new settings up; what takes time is awaited."""


class Reloader(Generic[S]):
    """Applies what changed in the settings; `targets` are names, and what takes those up.

    A name is a setting's (`relays.policy`) or stands for all below it (`credit`).
    """

    def __init__(
        self, settings: S, reread: Callable[[], S], targets: Mapping[str, Target[S]]
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._targets = targets
        self._turn = asyncio.Lock()
        self._running = set[asyncio.Task[None]]()

    def begin(self) -> None:
        """Have the settings read and applied; what serves meanwhile is not held up."""
        task = asyncio.create_task(self.reload())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def reload(self) -> None:
        """Read the settings and apply them, after whoever does so now.

        Ones that do not work change nothing.
        """
        async with self._turn:
            await self._reload()

    async def _reload(self) -> None:
        try:
            settings = await asyncio.to_thread(self._reread)
            changed = tuple(changed_names(self._settings, settings))
            taken = {target for each in changed if (target := self._target_of(each))}
            for target in sorted(taken):
                taking = self._targets[target](settings)
                if taking is not None:
                    await taking
        except (OperatorError, KeystoreError, OSError) as error:
            log.error("the old settings stay: %s", error)  # noqa: TRY400  no trace says more
            return
        self._settings = settings
        kept = [each for each in changed if not self._target_of(each)]
        log.info("settings read again", extra={"changed": changed, "wait_for_a_restart": kept})

    def _target_of(self, name: str) -> str:
        """What takes a setting up, empty where nothing does."""
        return next((each for each in self._targets if f"{name}.".startswith(f"{each}.")), "")


def changed_names(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted names of settings that differ; never their values, which may be secret."""
    for name in type(old).model_fields:
        before: Any = getattr(old, name)
        after: Any = getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from changed_names(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"
