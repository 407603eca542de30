"""Talking to suppliers over HTTP: what their failures mean, and the exchange of one relay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf

import orjson

from gateway.errors import (
    RejectedBySupplierError,
    SessionOverError,
    UpstreamBrokenError,
    UpstreamError,
    UpstreamInvalidError,
    UpstreamRefusedError,
    UpstreamTimeoutError,
)
from gateway.routing.relay import Relay, RelaySigner, Served
from gateway.routing.servers import Servers
from gateway.routing.sessions import Member
from gateway.routing.sse import Frame
from node.http import (
    ClientPool,
    ClientResponse,
    ClientStream,
    HeaderList,
    Headers,
    HttpClientError,
    TimedOut,
    Timeout,
    TooLarge,
)
from relay_mining import STREAM_FRAME_PREFIX, Hash32, Status, encode_cancel

REQUEST_HEADER = b"lode-request"
RESPONSE_HEADER = b"lode-response"
ERROR_BYTES_MAX = 64 << 10
RETRY_AFTER_S_MAX = 60
CONTEXT_EXCEEDED = "context_length_exceeded"
ENGINE_KINDS = ("invalid_request_error", "BadRequestError")
RELAY_EXPIRED = "relay_expired"
WRONG_SESSION = "wrong_session"
RELAY_CODES = frozenset(
    {"malformed_relay", RELAY_EXPIRED, "body_mismatch", "max_units_too_small", "relay_refused"}
)
"""Codes of a supplier's own refusals, which carry OpenAI's `invalid_request_error` too."""


@dataclass(frozen=True, slots=True)
class UpstreamTimeouts:
    """Deadlines of one try, in seconds."""

    connect: float = 5.0
    first_byte: float = 60.0
    """To the head of an answer; a plain answer is whole by then."""
    stall: float = 30.0
    """Longest silence inside an answer."""
    total: float = 600.0
    """To the end of a stream."""
    cancel: float = 5.0
    """After the client left: for the signed response to what it had received."""
    prompt_bytes_per_s: float = inf
    """The slowest that a request may be read: `first_byte` and `total` grow with its length."""
    answer_tokens_per_s: float = inf
    """The slowest that an answer may be written: its end is later by what is asked for at most."""

    def of(self, relay: Relay) -> Timeout:
        """The deadlines of one try, as the chassis wants them."""
        reading = len(relay.body) / self.prompt_bytes_per_s
        writing = relay.output_tokens / self.answer_tokens_per_s
        if relay.request.is_stream:
            total = self.total + reading + writing
            return Timeout(self.connect, self.first_byte + reading, self.stall, total)
        whole = min(self.first_byte, self.total) + reading + writing
        return Timeout(self.connect, whole, self.stall, whole)


@dataclass(slots=True)
class Upstream:
    """The relay exchanges; the client's own headers, its key among them, stay here."""

    signer: RelaySigner
    pool: ClientPool
    timeouts: UpstreamTimeouts
    servers: Servers = field(default_factory=Servers)

    def is_reachable(self, member: Member) -> bool:
        """Whether a member can be asked at all: who dials out only while it has a line."""
        return not member.dials_out or self.pool.has_line(member.supplier.hex())

    async def send_plain(
        self, relay: Relay, member: Member, header: bytes, request_hash: Hash32,
        extra: HeaderList = (),
    ) -> Served:  # fmt: skip
        """A verified whole answer; raises UpstreamError or RejectedBySupplierError."""
        answer = await self._post(relay, member, header, extra)
        signed = answer.headers.get(RESPONSE_HEADER)
        if signed is None:
            raise refusal(relay, answer.status, answer.headers, answer.body)
        if len(answer.body) > relay.answer_bytes_max:
            raise UpstreamInvalidError("the supplier's answer exceeds what was asked for")
        served = self.signer.accept(
            relay, member, request_hash, signed.decode("latin-1"), answer.body,
            sha256(answer.body).digest(),
        )  # fmt: skip
        if answer.status != 200 and served.response.status is not Status.CLIENT_ABORT:
            raise refusal(relay, answer.status, answer.headers, answer.body)
        return served

    async def _post(
        self, relay: Relay, member: Member, header: bytes, extra: HeaderList
    ) -> ClientResponse:
        """The answer of the relay server that serves this gateway; raises UpstreamError."""
        route = self.servers.route(member.url, self.timeouts.connect)
        path, timeout = relay.path, self.timeouts.of(relay)
        while True:
            try:
                answer = await self.pool.request(
                    b"POST", route.url + path, _headers(header, extra), relay.body, timeout
                )
            except HttpClientError as error:
                if not await route.is_worth_another(error):
                    raise translate(error) from error
            else:
                if not await route.is_elsewhere(answer.status, answer.headers):
                    return answer

    def accept_frame(
        self, relay: Relay, member: Member, request_hash: Hash32, frame: Frame, answer: bytes,
        previous: Served | None,
    ) -> Served:  # fmt: skip
        """The verified relay of a stream's frame (else UpstreamInvalidError)."""
        header = frame.data[len(STREAM_FRAME_PREFIX) : -2].decode("latin-1")
        return self.signer.accept(
            relay, member, request_hash, header, answer, frame.body_hash, previous
        )

    @asynccontextmanager
    async def open_stream(
        self, relay: Relay, member: Member, header: bytes, extra: HeaderList = ()
    ) -> AsyncIterator[ClientStream]:
        """An event stream whose head is 200; raises as `send_plain` does, while it is read too."""
        route = self.servers.route(member.url, self.timeouts.connect)
        path, timeout = relay.path, self.timeouts.of(relay)
        has_begun = False
        while not has_begun:
            try:
                async with self.pool.stream(
                    b"POST", route.url + path, _headers(header, extra), relay.body, timeout
                ) as stream:
                    if await route.is_elsewhere(stream.status, stream.headers):
                        continue
                    has_begun = True
                    await _require_stream(relay, stream)
                    yield stream
            except HttpClientError as error:
                if not await route.is_worth_another(error) or has_begun:
                    raise translate(error) from error

    async def cancel(self, relay: Relay, member: Member, request_hash: Hash32) -> None:
        """Tell a supplier that the client has left; raises UpstreamError."""
        body = encode_cancel(self.signer.sign_cancel(relay, request_hash))
        timeout = self.timeouts.cancel
        try:
            await self.pool.request(
                b"POST",
                self.servers.route(member.url, timeout).url + "/lode/v1/cancel",
                ((b"content-type", b"application/octet-stream"),),
                body,
                Timeout(timeout, timeout, timeout, timeout),
                replay_safe=True,
            )
        except HttpClientError as error:
            raise translate(error) from error


def _headers(header: bytes, extra: HeaderList) -> HeaderList:
    return ((b"content-type", b"application/json"), (REQUEST_HEADER, header), *extra)


async def _require_stream(relay: Relay, stream: ClientStream) -> None:
    """Refuse an answer that is no event stream (UpstreamError or RejectedBySupplierError)."""
    if stream.status != 200:
        body = await stream.read(ERROR_BYTES_MAX)
        raise refusal(relay, stream.status, stream.headers, body)
    kind = stream.headers.get(b"content-type", b"") or b""
    if not kind.startswith(b"text/event-stream"):
        raise UpstreamInvalidError("the supplier did not answer with a stream")


def translate(error: HttpClientError) -> UpstreamError:
    """What a failure on the wire means for the relay."""
    if isinstance(error, TimedOut):
        return UpstreamTimeoutError(f"the supplier was silent for too long ({error.phase})")
    if isinstance(error, TooLarge):
        return UpstreamInvalidError("the supplier's answer is too large")
    return UpstreamBrokenError(f"the connection to the supplier failed: {error}")


def refusal(
    relay: Relay, status: int, headers: Headers, body: bytes
) -> UpstreamError | RejectedBySupplierError:
    """What an unsigned answer means: whose fault it says it is, where that can be true."""
    error = read_error(body)
    message, code = error["message"][:1024], error["code"][:64]
    if status == 200:
        return UpstreamInvalidError("the supplier did not sign its answer")
    if status == 400 and (code == CONTEXT_EXCEEDED or "maximum context length" in message):
        if relay.surely_fits:
            return UpstreamInvalidError("the supplier finds a prompt too long that fits")
        return RejectedBySupplierError(message, CONTEXT_EXCEEDED, error["param"] or "messages")
    if status in (400, 422) and error["type"] in ENGINE_KINDS and code not in RELAY_CODES:
        return RejectedBySupplierError(message, code or "invalid_request", error["param"] or None)
    if status >= 500 and code not in ("supplier_busy", "chain_unavailable"):
        return UpstreamBrokenError(f"the supplier failed with status {status}")
    return read_refusal(status, code, message, read_retry_after(headers))


def read_retry_after(headers: Headers) -> int:
    """For how many seconds a supplier asks to be left alone: at least 1, and not for ever."""
    said = headers.get(b"retry-after") or b""
    return min(max(int(said), 1), RETRY_AFTER_S_MAX) if said.isdigit() and len(said) < 10 else 1


def read_refusal(status: int, code: str, message: str, retry_after_s: int) -> UpstreamRefusedError:
    """What it means that a supplier began no work."""
    if code == WRONG_SESSION:
        return SessionOverError(f"the supplier refused the session: {message}")
    if code == RELAY_EXPIRED:
        return UpstreamRefusedError(f"the supplier's clock and the gateway's differ: {message}")
    refused = f"the supplier refused the relay ({status} {code})"
    return UpstreamRefusedError(refused, retry_after_s)


def read_error(body: bytes) -> dict[str, str]:
    """The texts and numbers of an OpenAI error body as text, empty where they are none."""
    try:
        parsed = orjson.loads(body[:ERROR_BYTES_MAX])
    except orjson.JSONDecodeError:
        parsed = {}
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
    if not isinstance(error, dict):
        error = {"message": error}
    return {name: _text(error.get(name)) for name in ("message", "type", "code", "param")}


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
