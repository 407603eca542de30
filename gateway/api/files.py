"""`/v1/files`: what batches read and write, each file its key's own."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import orjson

from gateway.access.admission import Admission
from gateway.api.download import send_file
from gateway.api.file_store import ID, FileStore
from gateway.api.multipart import read_form
from gateway.api.names import name_once
from gateway.errors import (
    FileNotFoundHereError,
    InvalidParameterError,
    MethodNotAllowedError,
    MissingParameterError,
    NoRoomError,
    RouteNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from node.http import Response

META, DATA = ".json", ".data"
FILES_MAX, KEY_FILES_MAX = 10_000, 2_500
"""Of all keys together, and of one."""
RETRY_S = 60
"""When to try again what other keys leave no room for."""
PURPOSE = "batch"


@dataclass(slots=True)
class Files:
    """The files of a gateway; `answer` takes everything at or below `/v1/files`."""

    admission: Admission
    store: FileStore
    key_bytes_max: int = 1 << 30
    """With so many bytes a key uploads no more; what its batches write is kept all the same."""
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def answer(self, call: Call, path: bytes) -> Answer:
        """Upload, list, show, read or delete; raises RequestError."""
        account = call.account = self.admission.authorize(call.headers)
        _, _, *rest = path.decode("latin-1").strip("/").split("/")
        match (call.method, rest):
            case b"POST", []:
                found: object = await asyncio.to_thread(self._upload, account.key_id, call)
            case b"GET", []:
                files = await asyncio.to_thread(self.list, account.key_id)
                found = {"object": "list", "data": files, "has_more": False}
            case b"GET", [file_id]:
                found = await asyncio.to_thread(self.find, account.key_id, file_id)
            case b"GET", [file_id, "content"]:
                file = await asyncio.to_thread(self.open, account.key_id, file_id)
                return await send_file(call, file)
            case b"DELETE", [file_id]:
                await asyncio.to_thread(self._delete, account.key_id, file_id)
                found = {"id": file_id, "object": "file", "deleted": True}
            case _, [] | [_] | [_, "content"]:
                allow = ("GET, POST", "DELETE, GET", "GET")[len(rest)]
                raise MethodNotAllowedError(f"use {allow}", allow=allow)
            case _:
                raise RouteNotFoundError(
                    "there is /v1/files, /v1/files/ID and /v1/files/ID/content"
                )
        return Response(200, orjson.dumps(found), call.answer_headers)

    def write(
        self, file_id: str, key_id: str, filename: str, purpose: str, data: bytes
    ) -> dict[str, Any]:
        """Keep a file, in place of one of its id, and return what OpenAI's clients see of it."""
        meta = {
            "id": file_id, "object": "file", "bytes": len(data), "created_at": int(time.time()),
            "filename": filename, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.store.put(file_id + DATA, data)
        self.store.put(file_id + META, orjson.dumps({**meta, "key": key_id}))
        self._known.pop(file_id + META, None)
        return meta

    def list(self, key_id: str) -> list[dict[str, Any]]:
        """A key's files, the newest first."""
        mine = [_shown(each) for each in self._all() if each["key"] == key_id]
        return sorted(mine, key=lambda each: (each["created_at"], each["id"]), reverse=True)

    def find(self, key_id: str, file_id: str) -> dict[str, Any]:
        """What is known of a key's own file; raises FileNotFoundHereError."""
        document = self._read(file_id + META) if ID.fullmatch(file_id) else {}
        if document.get("key") != key_id:
            raise FileNotFoundHereError(f"this key has no file {file_id[:64]!r}", param="id")
        return _shown(document)

    def read(self, key_id: str, file_id: str) -> bytes:
        """The content of a key's own file; raises FileNotFoundHereError."""
        self.find(key_id, file_id)
        return self.store.get(file_id + DATA) or b""

    def open(self, key_id: str, file_id: str) -> BinaryIO:
        """As `read`, to be read piece by piece."""
        self.find(key_id, file_id)
        file = self.store.open(file_id + DATA)
        if file is None:  # removed since
            raise FileNotFoundHereError(f"this key has no file {file_id!r}", param="id")
        return file

    def _upload(self, key_id: str, call: Call) -> dict[str, Any]:
        form = read_form(call.headers.get(b"content-type") or b"", call.body)
        file, purpose = form.get("file"), form.get("purpose")
        if file is None or purpose is None:
            name = "purpose" if purpose is None else "file"
            raise MissingParameterError(f"the form has no {name}", param=name)
        if purpose.data != PURPOSE.encode():
            raise InvalidParameterError("purpose must be batch", param="purpose")
        filename = file.filename[:256]
        own = name_once(key_id, call.headers, filename.encode(), file.data)
        if not self.store.size(f"file-{own}{META}"):
            self._verify_room(key_id, len(file.data))
        return self.write("file-" + own, key_id, filename, PURPOSE, file.data)

    def _verify_room(self, key_id: str, size: int) -> None:
        """Raise NoRoomError where a file of `size` bytes is more than a key, or all, may keep."""
        everything = self._all()
        mine = [each["bytes"] for each in everything if each["key"] == key_id]
        if len(mine) >= KEY_FILES_MAX or sum(mine) + size > self.key_bytes_max:
            raise NoRoomError(
                f"this key keeps {len(mine)} files of {sum(mine)} bytes; at most {KEY_FILES_MAX} "
                f"of {self.key_bytes_max} bytes together are kept: delete some", None
            )  # fmt: skip
        if len(everything) >= FILES_MAX:
            raise NoRoomError(f"{FILES_MAX} files are kept here; try again later", RETRY_S)

    def _all(self) -> tuple[dict[str, Any], ...]:
        """What is kept about every file, read once until it is written again."""
        known = self._known
        found = {name: known.get(name) or self._read(name) for name in self.store.names(META)}
        self._known = {name: each for name, each in found.items() if each}
        return tuple(self._known.values())

    def _read(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(self.store.get(name) or b"{}")
        return document

    def _delete(self, key_id: str, file_id: str) -> None:
        self.find(key_id, file_id)
        self.store.delete(file_id + META)
        self.store.delete(file_id + DATA)


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "key"}
