"""Reading the settings again while the node serves: what can change does, the rest is named."""

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from node.errors import OperatorError
from node.keystore import KeystoreError
from supplier.settings import Settings

log = logging.getLogger(__name__)

Apply = Callable[[Settings], None]


class Reloader:
    """Applies what changed in the settings; `targets` are sections and what takes them up."""

    def __init__(
        self, settings: Settings, reread: Callable[[], Settings], targets: Mapping[str, Apply]
    ) -> None:
        self._settings = settings
        self._reread = reread
        self._targets = targets

    def reload(self) -> None:
        """Read the settings and apply them; ones that do not work change nothing."""
        try:
            settings = self._reread()
            changed = tuple(changed_names(self._settings, settings))
            sections = {each.partition(".")[0] for each in changed}
            for section in sorted(sections & self._targets.keys()):
                self._targets[section](settings)
        except (OperatorError, KeystoreError, OSError) as error:
            log.error("the old settings stay: %s", error)  # noqa: TRY400  no trace says more
            return
        self._settings = settings
        kept = [each for each in changed if each.partition(".")[0] not in self._targets]
        log.info("settings read again", extra={"changed": changed, "wait_for_a_restart": kept})


def changed_names(old: BaseModel, new: BaseModel, prefix: str = "") -> Iterator[str]:
    """The dotted names of settings that differ; never their values, which may be secret."""
    for name in type(old).model_fields:
        before: Any = getattr(old, name)
        after: Any = getattr(new, name)
        if isinstance(before, BaseModel) and isinstance(after, BaseModel):
            yield from changed_names(before, after, f"{prefix}{name}.")
        elif before != after:
            yield f"{prefix}{name}"
