"""`/v1/files`: what batches read and write, each file its key's own."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.access.admission import Admission
from gateway.api.file_store import ID, FileStore
from gateway.api.multipart import read_form
from gateway.api.names import name_once
from gateway.errors import (
    FileNotFoundHereError,
    InvalidParameterError,
    MethodNotAllowedError,
    MissingParameterError,
    RouteNotFoundError,
)
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call
from node.http import Response

META, DATA = ".json", ".data"
FILES_MAX = 10_000
"""Of all keys together."""
PURPOSE = "batch"


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a gateway; `answer` takes everything at or below `/v1/files`."""

    admission: Admission
    store: FileStore

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
                data = await asyncio.to_thread(self.read, account.key_id, file_id)
                return Response(200, data, call.answer_headers, b"application/octet-stream")
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
        return meta

    def list(self, key_id: str) -> list[dict[str, Any]]:
        """A key's files, the newest first."""
        documents = [orjson.loads(self.store.get(each) or b"{}") for each in self.store.names(META)]
        mine = [_shown(each) for each in documents if each.get("key") == key_id]
        return sorted(mine, key=lambda each: (each["created_at"], each["id"]), reverse=True)

    def find(self, key_id: str, file_id: str) -> dict[str, Any]:
        """What is known of a key's own file; raises FileNotFoundHereError."""
        known = self.store.get(file_id + META) if ID.fullmatch(file_id) else None
        document = orjson.loads(known or b"{}")
        if document.get("key") != key_id:
            raise FileNotFoundHereError(f"this key has no file {file_id[:64]!r}", param="id")
        return _shown(document)

    def read(self, key_id: str, file_id: str) -> bytes:
        """The content of a key's own file; raises FileNotFoundHereError."""
        self.find(key_id, file_id)
        return self.store.get(file_id + DATA) or b""

    def _upload(self, key_id: str, call: Call) -> dict[str, Any]:
        form = read_form(call.headers.get(b"content-type") or b"", call.body)
        file, purpose = form.get("file"), form.get("purpose")
        if file is None or purpose is None:
            name = "purpose" if purpose is None else "file"
            raise MissingParameterError(f"the form has no {name}", param=name)
        if purpose.data != PURPOSE.encode():
            raise InvalidParameterError("purpose must be batch", param="purpose")
        if len(self.store.names(META)) >= FILES_MAX:
            raise InvalidParameterError(f"{FILES_MAX} files are kept; delete some", param="file")
        filename = file.filename[:256]
        own = name_once(key_id, call.headers, filename.encode(), file.data)
        return self.write("file-" + own, key_id, filename, PURPOSE, file.data)

    def _delete(self, key_id: str, file_id: str) -> None:
        self.find(key_id, file_id)
        self.store.delete(file_id + META)
        self.store.delete(file_id + DATA)


def _shown(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "key"}
