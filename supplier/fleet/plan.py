"""What has to be done for the engines that run to become those of the settings. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from supplier.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Change:
    """Names of engines, in the order of the settings."""

    begin: tuple[str, ...]
    replace: tuple[str, ...]
    """Those of which something changed that needs another process, or another address."""
    retire: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether all is as it should be."""
        return not (self.begin or self.replace or self.retire)


def plan_change(
    running: Mapping[str, EngineSettings], wanted: Mapping[str, EngineSettings]
) -> Change:
    """The change from the running engines to the wanted ones, both by name."""
    return Change(
        begin=tuple(name for name in wanted if name not in running),
        replace=tuple(
            name for name in wanted if name in running and not _is_same(running[name], wanted[name])
        ),
        retire=tuple(name for name in running if name not in wanted),
    )


def _is_same(running: EngineSettings, wanted: EngineSettings) -> bool:
    """Whether a process can go on; what it serves is decided beside it."""
    return running.model_copy(update={"services": wanted.services}) == wanted
