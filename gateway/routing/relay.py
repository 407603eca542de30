"""One relay to one supplier: sign the request, and accept only what it signs in return."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.api.openai import OpenAIRequest
from gateway.errors import SigningKeyMissingError, UpstreamInvalidError
from gateway.routing.sessions import Member, Session
from node.http import HeaderList
from node.traces import NO_SPAN, Span
from relay_mining import (
    Address,
    Cancel,
    Domain,
    Hash32,
    InvalidRelayError,
    RelayRequest,
    RelayResponse,
    Signature,
    SignedCancel,
    SignedRequest,
    SignedResponse,
    Signer,
    Status,
    added_units,
    decode_response_header,
    encode_request_header,
    request_body_hash,
    value_class,
    verify_next_part,
)

SERVED = (Status.OK, Status.LENGTH)


@value_class
class Relay:
    """One client request, ready for any member of its session."""

    id: bytes
    """Of the client's request, 16 bytes."""
    session: Session
    request: OpenAIRequest
    key_id: str
    body: bytes
    """What every supplier is sent, byte for byte."""
    max_units: int
    answer_bytes_max: int
    price_max: int
    """Token base units for a million units, beyond which nobody is asked."""
    headers: HeaderList = ()
    """What the client's answer is sent with."""
    premium: int = 0
    """Token base units that the client pays for an answer beyond its units' price."""
    output_tokens: int = 0
    """The most that each answer may have."""
    span: Span = NO_SPAN
    """Of the client's request."""
    path: str = field(init=False)
    body_hash: Hash32 = field(init=False)

    def __post_init__(self) -> None:
        path = self.request.endpoint.value
        object.__setattr__(self, "path", path.decode())
        object.__setattr__(self, "body_hash", request_body_hash(b"POST", path, self.body))

    @property
    def surely_fits(self) -> bool:
        """Whether no honest engine can find the request too long for its context."""
        service = self.session.service
        return self.request.surely_fits(
            service.spec.context_length, self.output_tokens, service.overhead
        )


@value_class
class Served:
    """An answer the supplier signed and the gateway accepts; a receipt for it is owed."""

    relay: Relay
    supplier: Address
    request_hash: Hash32
    response_hash: Hash32
    response: RelayResponse
    signature: Signature
    answer: bytes
    """Of a stream: all events up to this response."""
    added: int
    """Units that the response adds to the part before it."""
    receipts: dict[int, int]
    """Units receipted for each part of the same relay."""


@dataclass(frozen=True, slots=True)
class RelaySigner:
    """Signs requests with the key on record for their session, and checks responses.

    Any replica holding the same keys signs the same way: nothing is counted here.
    """

    domain: Domain
    keys: Mapping[Address, Signer]
    expiry_s: int = 120
    now: Callable[[], float] = time.time
    draw_nonce: Callable[[int], bytes] = os.urandom

    def sign(self, relay: Relay, member: Member) -> tuple[bytes, Hash32]:
        """The `lode-request` header for one member, and the hash that names the request."""
        session = relay.session
        request = RelayRequest(
            session.id,
            member.supplier,
            relay.body_hash,
            relay.max_units,
            int(self.now()) + self.expiry_s,
            self.draw_nonce(32),
        )
        request_hash = self.domain.digest(request)
        signature = self.key_of(session.signer).sign(request_hash)
        header = encode_request_header(SignedRequest(session.key, request, signature))
        return header.encode(), request_hash

    def key_of(self, address: Address) -> Signer:
        """The signer of an address; raises SigningKeyMissingError where its key is not at hand."""
        key = self.keys.get(address)
        if key is None:
            raise SigningKeyMissingError(
                f"the signing key 0x{address.hex()} is on record but not at hand: bring it back, "
                "or name its keystore in keys.former_signing_keystores"
            )
        return key

    def sign_cancel(self, relay: Relay, request_hash: Hash32) -> SignedCancel:
        """What tells a supplier that the client of a request has left."""
        cancel = Cancel(request_hash)
        key = self.key_of(relay.session.signer)
        return SignedCancel(cancel, key.sign(self.domain.digest(cancel)))

    def accept(
        self, relay: Relay, member: Member, request_hash: Hash32, header: str, answer: bytes,
        body_hash: Hash32, previous: Served | None = None,
    ) -> Served:  # fmt: skip
        """Return the served relay if the supplier's response holds (else UpstreamInvalidError).

        `previous` is the part before, of a stream that is signed in parts.
        """
        before = previous.response if previous is not None else None
        try:
            signed = decode_response_header(header, request_hash, body_hash)
            response = signed.response
            response_hash = self.domain.digest(response)
            member.verifier.verify(response_hash, signed.signature)
            verify_next_part(before, response)
        except InvalidRelayError as error:
            raise UpstreamInvalidError(f"the supplier's response is not acceptable: {error}") from (
                error
            )
        self._check_terms(relay, signed)
        return Served(
            relay, member.supplier, request_hash, response_hash, response, signed.signature, answer,
            added_units(before, response), previous.receipts if previous is not None else {},
        )  # fmt: skip

    def _check_terms(self, relay: Relay, signed: SignedResponse) -> None:
        response, service = signed.response, relay.session.service
        if response.status is Status.PARTIAL and not relay.request.is_stream:
            raise UpstreamInvalidError("a part of an answer that is not a stream")
        if response.units > relay.max_units:
            raise UpstreamInvalidError(f"{response.units} units of {relay.max_units} reserved")
        if response.service_spec_hash != service.spec_hash:
            raise UpstreamInvalidError("the supplier answered under another service spec")
        counted = service.weights.units(
            response.input_tokens, response.cached_tokens, response.output_tokens
        )
        if response.units > counted:
            raise UpstreamInvalidError(f"{response.units} units for tokens worth {counted}")
