"""The endpoint: a response is asked for as a chat completion, and answered as a response."""

import time
from dataclasses import dataclass, replace

import orjson

from gateway.api.body import parse_object
from gateway.api.openai import Endpoint
from gateway.api.responses.events import TranslatingClient
from gateway.api.responses.objects import ResponseObject, translate_answer
from gateway.api.responses.requests import Members, read_chat
from gateway.errors import UpstreamInvalidError
from gateway.routing.dispatch import Answer
from gateway.routing.relaying import Call, Relays
from node.http import Response


@dataclass(frozen=True, slots=True)
class ResponsesPlane:
    """Answers `/v1/responses`; the relay, its receipt and its bill are those of the chat."""

    relays: Relays

    async def answer(self, call: Call) -> Answer:
        """A response, whole or streamed; raises GatewayError while nothing has been sent."""
        return await self.relays.end(call, self._answer(call))

    async def _answer(self, call: Call) -> Answer:
        call.account = self.relays.admission.authorize(call.headers)
        asked: Members = parse_object(call.body, self.relays.limits.of_request)
        made = ResponseObject(asked, call.id.hex(), int(time.time()))
        chat = replace(
            call, body=orjson.dumps(read_chat(asked)), client=TranslatingClient(call.client, made)
        )
        try:
            answer = await self.relays.relay(chat, Endpoint.CHAT)
        finally:
            call.model = chat.model
        if not isinstance(answer, Response):
            return answer
        response = translate_answer(asked, call.id.hex(), _read_answer(answer.body))
        return Response(answer.status, orjson.dumps(response), answer.headers)


def _read_answer(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise UpstreamInvalidError("the supplier's answer is not JSON") from error
