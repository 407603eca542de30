"""Builders of valid objects; a test names only the fields it is about."""

from relay_mining import (
    Address,
    Clock,
    Domain,
    Hash32,
    Params,
    Receipt,
    RelayRequest,
    RelayResponse,
    RosterEntry,
    SessionKey,
    Signer,
    Status,
    UnitWeights,
    keccak,
)

APPLICATION = Address(b"\xa1" * 20)
GATEWAY = Address(b"\xb2" * 20)
SUPPLIER = Address(b"\xc3" * 20)
SERVICE = Hash32(b"\xd4" * 32)

GATEWAY_SIGNER = Signer(keccak(b"a gateway's signing key"))
OPERATOR_SIGNER = Signer(keccak(b"a supplier's operator key"))

DOMAIN = Domain(chain_id=31337, verifying_contract=Address(b"\xe5" * 20))
CLOCK = Clock(genesis_block=100, session_blocks=12, seed_offset=2, epoch_sessions=2)
WEIGHTS = UnitWeights(request=100, input=10, cached=1, output=40)
PARAMS = Params(
    members=3,
    target_leaves=4096,
    margin_bps=11_000,
    bond_ratio_max=10,
    protocol_bps=100,
    lot_stake=1_000_000,
    lots_max=100,
    idle_epochs=8,
    delegation_fee=1_000_000,
    min_stake=1_000_000,
    roster_max=64,
)


def a_hash(name: str | int) -> Hash32:
    """32 bytes that stand for `name` and nothing else."""
    return keccak(str(name).encode())


def an_address(name: str | int) -> Address:
    """20 bytes that stand for `name` and nothing else."""
    return a_hash(name)[:20]


def a_session(*, number: int = 7, application: Address = APPLICATION) -> SessionKey:
    return SessionKey(application, GATEWAY, SERVICE, number)


def a_request(
    *,
    session: SessionKey | None = None,
    supplier: Address = SUPPLIER,
    max_units: int = 10_000,
    expiry: int = 1_800_000_000,
    nonce: str | int = "nonce",
) -> RelayRequest:
    session_id = (session or a_session()).id
    return RelayRequest(session_id, supplier, a_hash("body"), max_units, expiry, a_hash(nonce))


def a_response(
    *,
    request_hash: Hash32 | None = None,
    units: int = 1_500,
    status: Status = Status.OK,
    part: int = 0,
) -> RelayResponse:
    return RelayResponse(
        request_hash=request_hash or DOMAIN.digest(a_request()),
        body_hash=a_hash("answer"),
        salt_hash=keccak(OPERATOR_SIGNER.session_salt(a_session().id)),
        input_tokens=100,
        cached_tokens=20,
        output_tokens=10,
        units=units,
        status=status,
        service_spec_hash=a_hash("spec"),
        part=part,
    )


def a_receipt(
    *,
    session: SessionKey | None = None,
    supplier: Address = SUPPLIER,
    request: str | int = "request",
    units: int = 1_500,
) -> Receipt:
    """The receipt of a relay that `request` names, with the gateway's own secret in it."""
    session = session or a_session()
    request_hash, response_hash = a_hash(request), a_hash(f"response to {request}")
    return Receipt(
        session_id=session.id,
        supplier=supplier,
        request_hash=request_hash,
        response_hash=response_hash,
        salt_hash=keccak(OPERATOR_SIGNER.session_salt(session.id)),
        units=units,
        secret=GATEWAY_SIGNER.receipt_secret(request_hash, response_hash),
    )


def a_roster(*weights: int) -> tuple[RosterEntry, ...]:
    """A roster of suppliers 0, 1, 2, ... with these weights, each asking 1000 a million units."""
    return tuple(
        RosterEntry(an_address(index), 1_000, weight) for index, weight in enumerate(weights)
    )
