"""Changing keys of a settings file that people wrote, the rest of it left as it is."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from node.errors import OperatorError


def change_section(path: Path, section: str, values: Mapping[str, str | list[str] | None]) -> None:
    """Set keys of a section of an existing file, or drop those that are None, all at once.

    Raises OperatorError where the file has no such section.
    """
    text = path.read_text()
    for name, value in values.items():
        text = _drop_line(text, name)
        if value is not None:
            head = re.search(rf"(?m)^\[{re.escape(section)}\]\n", text)
            if head is None:
                raise OperatorError(f"{path} has no section [{section}] for {name}; add it")
            text = f"{text[: head.end()]}{name} = {json.dumps(value)}\n{text[head.end() :]}"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(
            f"{path} would not be TOML any more: edit it by hand ({error})"
        ) from None
    partial = path.with_name(path.name + ".partial")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def _drop_line(text: str, name: str) -> str:
    return re.sub(rf"(?m)^{re.escape(name)} = .*\n?", "", text, count=1)
