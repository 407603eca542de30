"""A chat completion's stream as the events of a response."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.api.clients import Client, Writer
from gateway.api.responses.objects import (
    Members,
    ResponseObject,
    read_object,
    read_objects,
    read_text,
    read_thought,
    text_part,
    thought_part,
    translate_usage,
)
from gateway.routing.sse import EVENT_END
from node.http import HeaderList, Response


@dataclass(slots=True)
class EventTranslator:
    """Takes chunks of a chat completion in their order, and says what events they make."""

    made: ResponseObject
    _number: int = 0
    _open: Members | None = None
    """The item that is being written."""
    _calls: dict[int, Members] = field(default_factory=dict)
    _reason: str = ""

    def translate(self, data: bytes) -> bytes:
        """Whole events of a chat completion as those of a response; comments stay."""
        made: list[bytes] = []
        for event in data.split(EVENT_END):
            if event.startswith(b":"):
                made.append(event + EVENT_END)
            elif event.startswith(b"data: {"):
                made += self._read(event[6:])
        return b"".join(made)

    def _read(self, data: bytes) -> Iterator[bytes]:
        try:
            return self.take(orjson.loads(data))
        except orjson.JSONDecodeError:
            return iter(())

    def begin(self) -> Iterator[bytes]:
        """What a stream begins with."""
        yield self._event("response.created", response=self.made.shown())
        yield self._event("response.in_progress", response=self.made.shown())

    def take(self, chunk: Members) -> Iterator[bytes]:
        """The events of one chunk."""
        if chunk.get("usage"):
            self.made.usage = translate_usage(chunk["usage"])
        if chunk.get("error"):
            error = read_object(chunk["error"])
            code, message = read_text(error.get("code")), read_text(error.get("message"))
            self.made.error = {"code": code, "message": message}
            return
        for choice in read_objects(chunk.get("choices"))[:1]:
            delta = read_object(choice.get("delta"))
            self._reason = read_text(choice.get("finish_reason")) or self._reason
            thought, content = read_thought(delta), read_text(delta.get("content"))
            if thought:
                yield from self._write("reasoning", thought)
            if content:
                yield from self._write("message", content)
            for call in read_objects(delta.get("tool_calls")):
                yield from self._call(call)

    def end(self) -> Iterator[bytes]:
        """What a stream ends with."""
        if self.made.error is not None:
            self.made.status = "failed"
            yield self._event("response.failed", response=self.made.shown())
            return
        self.made.finish(self._reason)
        yield from self._close()
        yield self._event(f"response.{self.made.status}", response=self.made.shown())

    def _write(self, kind: str, text: str) -> Iterator[bytes]:
        if self._open is None or self._open["type"] != kind:
            yield from self._close()
            is_message = kind == "message"
            item = self.made.add_message() if is_message else self.made.add_reasoning()
            yield from self._begin(item)
            part = text_part("") if is_message else thought_part("")
            item["content"].append(part)
            yield self._part("response.content_part.added", item, part=part)
        assert self._open is not None
        (part,) = self._open["content"]
        part["text"] += text
        extra: Members = {"logprobs": []} if kind == "message" else {}
        yield self._part(f"response.{part['type']}.delta", self._open, delta=text, **extra)

    def _call(self, call: Members) -> Iterator[bytes]:
        function, index = read_object(call.get("function")), call.get("index")
        if type(index) is not int:
            index = len(self._calls)
        item = self._calls.get(index)
        if item is None:
            yield from self._close()
            item = self.made.add_call(read_text(call.get("id")), read_text(function.get("name")))
            self._calls[index] = item
            yield from self._begin(item)
        text = read_text(function.get("arguments"))
        item["arguments"] += text
        if text:
            yield self._of("response.function_call_arguments.delta", item, delta=text)

    def _begin(self, item: Members) -> Iterator[bytes]:
        self._open = item
        yield self._event("response.output_item.added", output_index=self._index(item), item=item)

    def _close(self) -> Iterator[bytes]:
        item, self._open = self._open, None
        if item is None:
            return
        if item["type"] == "function_call":
            arguments, name = item["arguments"], item["name"]
            done = "response.function_call_arguments.done"
            yield self._of(done, item, arguments=arguments, name=name)
        else:
            (part,) = item["content"]
            extra: Members = {"logprobs": []} if item["type"] == "message" else {}
            yield self._part(f"response.{part['type']}.done", item, text=part["text"], **extra)
            yield self._part("response.content_part.done", item, part=part)
        if item["status"] == "in_progress":
            item["status"] = "completed"
        yield self._event("response.output_item.done", output_index=self._index(item), item=item)

    def _index(self, item: Members) -> int:
        return next(i for i, each in enumerate(self.made.output) if each is item)

    def _part(self, kind: str, item: Members, **members: Any) -> bytes:
        return self._of(kind, item, content_index=0, **members)

    def _of(self, kind: str, item: Members, **members: Any) -> bytes:
        return self._event(kind, item_id=item["id"], output_index=self._index(item), **members)

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(data))


class TranslatingWriter:
    """Takes the events of a chat completion; its client gets those of a response."""

    def __init__(self, writer: Writer, translator: EventTranslator) -> None:
        self._writer = writer
        self._translator = translator

    async def write(self, data: bytes) -> None:
        """Pass on events; raises ClientDisconnected."""
        await self._writer.write(self._translator.translate(data))

    async def close(self, last: bytes = b"") -> None:
        """Pass on the last events, and end the response; raises ClientDisconnected."""
        ends = self._translator.translate(last), *self._translator.end()
        await self._writer.close(b"".join(ends))


class TranslatingClient:
    """A client of responses, as the dispatcher sees it."""

    def __init__(self, client: Client, made: ResponseObject) -> None:
        self._client = client
        self._made = made

    @property
    def disconnected(self) -> asyncio.Future[None]:
        """Done once the client has left."""
        return self._client.disconnected

    def respond(self, answer: Response) -> None:
        """Wait for it to be returned, and translated."""

    def respond_stream(
        self, status: int, headers: HeaderList, content_type: bytes | None, first: bytes = b""
    ) -> TranslatingWriter:
        """Begin the stream of a response."""
        translator = EventTranslator(self._made)
        begun = b"".join(translator.begin()) + translator.translate(first)
        writer = self._client.respond_stream(status, headers, content_type, begun)
        return TranslatingWriter(writer, translator)
