"""A gateway of an adversary: registered, funded, delegated to by itself, and alone with suppliers.

It speaks the real protocol over real sockets with keys that are on record; what it does with the
receipts is for the scripts in `adversaries.gateways`.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass, replace

import orjson

from adversaries.scene import Scene, wait_block
from contracts import Market, SendPolicy, TxSender
from gateway.operations import Operator
from node.http import ClientPool, ClientResponse
from node.keystore import PrivateKey
from relay_mining import (
    Address,
    Receipt,
    ReceiptBatch,
    ReceiptDelivery,
    RelayRequest,
    SessionKey,
    SignedRequest,
    Signer,
    build_batch,
    decode_response_header,
    encode_receipts,
    encode_request_header,
    request_body_hash,
)

PATH = b"/v1/chat/completions"
TOKEN = 10**6
FUNDS = 100 * TOKEN
CAP = 26 * TOKEN
MAX_UNITS = 5_000
EXPIRY_S = 60
POLICY = SendPolicy(poll_s=0.2)


@dataclass(frozen=True, slots=True)
class Answered:
    """One relay a supplier served, and the receipt an honest gateway would give for it."""

    supplier: Address
    signed: SignedRequest
    units: int
    receipt: Receipt


class Rogue:
    """One gateway identity; its application is itself."""

    def __init__(self, market: Market, pool: ClientPool, scene: Scene, key: bytes) -> None:
        self.market, self.pool, self.scene = market, pool, scene
        self.owner = PrivateKey(key)
        self.signer = Signer(hashlib.sha256(b"rogue gateway" + key).digest())
        self.stranger = Signer(hashlib.sha256(b"no gateway" + key).digest())

    async def set_up(self) -> int:
        """Buy a delegation; the non-refundable fee it cost, in token base units."""
        me = self.owner.address
        operator = Operator(self.market, self.owner, POLICY)
        sender = TxSender(self.market.chain, self.owner.reveal(), POLICY)
        await sender.send(self.market.token.mint(me, 2 * FUNDS))
        await operator.register(self.signer.address, "http://127.0.0.1:9")
        await operator.deposit(me, FUNDS)
        before = await self.market.token.balance(me)
        await operator.delegate(me, self.scene.service, CAP, 0)
        return before - await self.market.token.balance(me)

    async def open_session(self, blocks_left: int) -> SessionKey:
        """A running session of its own with a first supplier in it and so many blocks to go."""
        clock = await self.market.sessions.clock()
        number = clock.session_at((await self.market.chain.head()).number)
        while True:
            me = self.owner.address
            key = SessionKey(me, me, self.scene.service, number)
            state = await self.market.sessions.session(key)
            left = clock.start(number + 1) - state.block
            if state.is_valid and left >= blocks_left and state.member(self.scene.suppliers[0]):
                return key
            number += 1
            await wait_block(self.market, clock.start(number))

    def sign(
        self, session: SessionKey, supplier: Address, number: int, max_units: int = MAX_UNITS
    ) -> tuple[SignedRequest, bytes]:
        """A signed request for one answer, and its body."""
        body = orjson.dumps(
            {
                "model": self.scene.model,
                "messages": [{"role": "user", "content": "Tell me a story."}],
                "max_tokens": 32,
                "seed": number,
            }
        )
        request = RelayRequest(
            session_id=session.id,
            supplier=supplier,
            body_hash=request_body_hash(b"POST", PATH, body),
            max_units=max_units,
            expiry=int(time.time()) + EXPIRY_S,
            nonce=secrets.token_bytes(32),
        )
        signature = self.signer.sign(self.market.domain.digest(request))
        return SignedRequest(session, request, signature), body

    async def post(self, supplier: Address, signed: SignedRequest, body: bytes) -> ClientResponse:
        """The supplier's answer to a request."""
        url = (await self.market.registry.supplier(supplier)).url.rstrip("/")
        header = encode_request_header(signed).encode()
        headers = ((b"content-type", b"application/json"), (b"lode-request", header))
        return await self.pool.request(b"POST", url + PATH.decode(), headers, body)

    async def ask(
        self, session: SessionKey, number: int, max_units: int = MAX_UNITS
    ) -> Answered | str:
        """One relay of the first supplier, served; or the code it was refused with."""
        supplier = self.scene.suppliers[0]
        signed, body = self.sign(session, supplier, number, max_units)
        return self.read(signed, await self.post(supplier, signed, body))

    def read(self, signed: SignedRequest, answer: ClientResponse) -> Answered | str:
        """What an answer to a request is: a relay served, or the words of a refusal."""
        header = answer.headers.get(b"lode-response")
        if header is None:
            return read_refusal(answer)
        request_hash = self.market.domain.digest(signed.request)
        body_hash = hashlib.sha256(answer.body).digest()
        response = decode_response_header(header.decode(), request_hash, body_hash).response
        response_hash = self.market.domain.digest(response)
        receipt = Receipt(
            session_id=signed.session.id,
            supplier=signed.request.supplier,
            request_hash=request_hash,
            response_hash=response_hash,
            salt_hash=response.salt_hash,
            units=response.units,
            secret=self.signer.receipt_secret(request_hash, response_hash),
        )
        return Answered(receipt.supplier, signed, response.units, receipt)

    async def ask_many(self, session: SessionKey, count: int) -> list[Answered]:
        """Relays that were served, one after another, until one is refused."""
        served: list[Answered] = []
        for number in range(count):
            one = await self.ask(session, number)
            if isinstance(one, str):
                break
            served.append(one)
        return served

    async def deliver(
        self, answered: Answered, signer: Signer | None = None, **changes: object
    ) -> str:
        """Hand in one receipt, altered; "" where it is acknowledged, else why it is refused."""
        receipt = replace(answered.receipt, **changes)  # type: ignore[arg-type]
        domain = self.market.domain
        root = build_batch([domain.digest(receipt)]).root
        signature = (signer or self.signer).sign(domain.digest(ReceiptBatch(root)))
        delivery = ReceiptDelivery(((answered.signed.session, receipt),), signature)
        url = (await self.market.registry.supplier(answered.supplier)).url.rstrip("/")
        headers = ((b"content-type", b"application/octet-stream"),)
        answer = await self.pool.request(
            b"POST", url + "/lode/v1/receipts", headers, encode_receipts(delivery)
        )
        return "" if answer.status == 200 else read_refusal(answer)


def read_refusal(answer: ClientResponse) -> str:
    """Code and words of a supplier's refusal."""
    error = orjson.loads(answer.body)["error"]
    return f"{error['code']}: {error['message']}"
