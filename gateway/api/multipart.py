"""Reading `multipart/form-data`, as official clients upload files with it."""

import re
from dataclasses import dataclass

from gateway.errors import MalformedBodyError

PARTS_MAX = 16
_BOUNDARY = re.compile(
    rb'multipart/form-data\s*;.*?boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))', re.I
)
_NAME = re.compile(rb'[;\s]name="([^"\r\n]*)"', re.IGNORECASE)
_FILENAME = re.compile(rb'filename="([^"\r\n]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """One field of a form."""

    data: bytes
    filename: str = ""


def read_form(content_type: bytes, body: bytes) -> dict[str, Part]:
    """The fields of a form by name, of several with one name the last (MalformedBodyError)."""
    found = _BOUNDARY.match(content_type)
    if found is None:
        raise MalformedBodyError("send the file as multipart/form-data")
    mark = b"--" + (found[1] or found[2])
    first, *pieces = (b"\r\n" + body).split(b"\r\n" + mark)
    if first.strip() or not pieces or not pieces[-1].startswith(b"--") or len(pieces) > PARTS_MAX:
        raise MalformedBodyError("the form has no end, or too many parts")
    return dict(_read_part(each) for each in pieces[:-1])


def _read_part(piece: bytes) -> tuple[str, Part]:
    head, blank, data = piece.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not blank or name is None:
        raise MalformedBodyError("a part of the form has no name")
    filename = _FILENAME.search(head)
    shown = filename[1].decode("utf-8", "replace") if filename else ""
    return name[1].decode("utf-8", "replace"), Part(data, shown)
