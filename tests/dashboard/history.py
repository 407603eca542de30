"""A synthetic market: events as the contracts would write them, of any size, always the same."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from contracts import Event
from gateway.dashboard.folding import apply
from gateway.dashboard.market_model import MarketModel
from relay_mining import (
    Address,
    Claim,
    Clock,
    Hash32,
    SessionKey,
    TrieRoot,
    UnitWeights,
    challenge_seed,
    keccak,
    points_required,
)
from tests.dashboard.rounds import Rounds

CLOCK = Clock(genesis_block=10, session_blocks=60, seed_offset=4, epoch_sessions=4)
TOKEN = 10**6
MARGIN_BPS = 11_000
AUCTION = b"\xaa" * 20
NAMES = ("llama-3.1-8b-instruct", "qwen3-32b", "mistral-small-3.2", "nomic-embed-text", "lode-demo")


def name_hash(name: object) -> Hash32:
    """32 bytes that stand for a name."""
    return keccak(str(name).encode())


def name_address(name: object) -> Address:
    """20 bytes that stand for a name."""
    return name_hash(name)[:20]


@dataclass(slots=True)
class History:
    """Writes a market's events block by block."""

    suppliers: int = 24
    services: int = 4
    """With posted asks."""
    sessions: int = 60
    applications: int = 6
    claims: int = 12
    """Of each session."""
    cheat_every: int = 97
    names: tuple[str, ...] = NAMES
    url: str = "https://gpu-{number:03}.example.net"
    seed: int = 7
    auctioned: bool = False
    """Whether one more service is sold by auction."""
    rounds: Rounds = field(init=False)
    """Of that service."""
    _random: random.Random = field(init=False)
    _block: int = CLOCK.genesis_block - 10
    _index: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self.rounds = Rounds(
            self.service(self.services),
            tuple(self.supplier(each) for each in range(self.suppliers)),
            tuple(self.application(each) for each in range(self.applications)),
            3 * TOKEN,
        )

    @property
    def head_block(self) -> int:
        """The last block, in the middle of the session after the last that was claimed."""
        return CLOCK.start(self.sessions + 1) + CLOCK.session_blocks // 2

    def service(self, number: int) -> Hash32:
        """The id of a service."""
        return name_hash(f"service {number}")

    def supplier(self, number: int) -> Address:
        """The id of a supplier."""
        return name_address(f"supplier {number}")

    def weights(self, number: int) -> UnitWeights:
        """What a service counts."""
        return UnitWeights(100, 10 + number, 1, 40 + 5 * number)

    def gateway(self) -> Address:
        """The gateway that everybody delegates to."""
        return name_address("gateway")

    def application(self, number: int) -> Address:
        """An application."""
        return name_address(f"application {number}")

    def model(self) -> MarketModel:
        """The read model after all of it."""
        model = MarketModel(CLOCK)
        for event in self.events():
            apply(model, event)
        model.reach(self.head_block)
        return model

    def events(self) -> Iterator[Event]:
        """Every event in the chain's order."""
        yield from self._set_up()
        auction = self.rounds
        if self.auctioned:
            values = {"service": auction.service, "price": auction.opening_price}
            yield self.event("auction", "OpenMarket", **values)
        waiting: list[Claim] = []
        for number in range(1, self.sessions + 1):
            self._block = max(self._block, CLOCK.start(number + 1) - CLOCK.session_blocks // 2)
            yield from self._move_prices()
            if self.auctioned and number % CLOCK.epoch_sessions == 0:
                # by then the round of the next epoch is cleared
                for name, values in auction.events_of(number // CLOCK.epoch_sessions + 1):
                    yield self.event("auction", name, **values)
            self._block = max(self._block, CLOCK.start(number + 1) + 12)
            claims = [self._claim(number, place) for place in range(self.claims)]
            yield from (self._submit(claim) for claim in claims)
            yield from self._settle(waiting, number + 1)
            waiting = claims

    def event(self, contract: str, name: str, **values: Any) -> Event:
        """One event in the block that is being written."""
        self._index += 1
        place = name_hash(f"transaction {self._index}")
        return Event(
            contract, name, values, self._block, name_hash(self._block), place, self._index
        )

    def _set_up(self) -> Iterator[Event]:
        values = (6, 4096, MARGIN_BPS, 10, 100, 100, 0, 128, 100 * TOKEN, 0, 100 * TOKEN)
        yield self.event("parameters", "ScheduleValues", fromEpoch=0, values=values)
        for number in range(self.services + self.auctioned):
            counted = self.weights(number)
            weights = (counted.request, counted.input, counted.cached, counted.output)
            source = name_address(f"source {number}")
            market = AUCTION if number == self.services else bytes(20)
            struct = (source, name_hash("spec"), *weights, 500, market, self.names[number])
            yield self.event(
                "registry", "ListService", service=self.service(number), source=source, value=struct
            )
        for number in range(self.suppliers):
            self._block += number % 3 == 0
            yield from self._register(number)
        for number in range(self.applications):
            application = self.application(number)
            deposit = (20_000 + 7_000 * number) * TOKEN
            yield self.event(
                "escrow",
                "Deposit",
                application=application,
                **{"from": application},
                amount=deposit,
            )
            for service in range(self.services):
                yield self.event(
                    "escrow", "Delegate", application=application, gateway=self.gateway(),
                    service=self.service(service), cap=(40 + 9 * number) * TOKEN, feeBps=100,
                    fromSession=1,
                )  # fmt: skip

    def _register(self, number: int) -> Iterator[Event]:
        supplier = self.supplier(number)
        owner = name_address(f"owner {number}")
        registry = "registry"
        yield self.event(registry, "RegisterSupplier", supplier=supplier, owner=owner)
        operator = name_address(f"operator {number}")
        yield self.event(
            registry, "SetOperator", supplier=supplier, operator=operator, fromSession=1
        )
        yield self.event(registry, "SetPayout", supplier=supplier, payout=owner)
        url = self.url.replace("{number:03}", f"{number:03}")
        yield self.event(registry, "SetUrl", supplier=supplier, url=url)
        yield self.event(registry, "SetBondCap", supplier=supplier, bondCapPerSession=200 * TOKEN)
        amount = (500 + 37 * (number * number % 61)) * TOKEN
        yield self.event(registry, "Stake", supplier=supplier, **{"from": owner}, amount=amount)
        for service in {number % self.services, (number * 3 + 1) % self.services}:
            yield self._ask(number, service, self._price(service))

    def _price(self, service: int) -> int:
        return (2 + service) * TOKEN * self._random.randrange(70, 140) // 100

    def _ask(self, number: int, service: int, price: int) -> Event:
        return self.event(
            "registry", "SetListing", service=self.service(service),
            supplier=self.supplier(number), unitPrice=price,
        )  # fmt: skip

    def _move_prices(self) -> Iterator[Event]:
        for _ in range(max(1, self.suppliers // 12)):
            number = self._random.randrange(self.suppliers)
            service = number % self.services
            yield self._ask(number, service, self._price(service))

    def _claim(self, number: int, place: int) -> Claim:
        supplier = (number * self.claims + place) % self.suppliers
        service = supplier % self.services
        application = self.application((place + number) % self.applications)
        units = 200_000 + self._random.randrange(2_600_000)
        price = self._price(service)
        value = units * price // 10**6
        key = SessionKey(application, self.gateway(), self.service(service), number)
        root = TrieRoot(name_hash(f"root {number} {place}"), units, 400 + units % 997)
        bond = value * self._random.choice((1, 2, 4))
        return Claim(self.supplier(supplier), key, root, value, bond, 500, 100, price)

    def _submit(self, claim: Claim) -> Event:
        key, root = claim.session, claim.root
        struct = (
            claim.supplier, (key.application, key.gateway, key.service, key.number), root.digest,
            root.sum, root.count, claim.value, claim.bond, claim.tau, claim.price, claim.fee_bps,
        )  # fmt: skip
        return self.event(
            "claims", "ClaimSubmitted", claimId=claim.id, supplier=claim.supplier, claim=struct
        )

    def _settle(self, claims: list[Claim], seeded: int) -> Iterator[Event]:
        if not claims:
            return
        seed = name_hash(f"seed {seeded}")
        yield self.event("sessions", "WriteSeed", number=seeded, seed=seed)
        for claim in claims:
            points = points_required(
                claim.value, claim.bond, MARGIN_BPS, challenge_seed(seed, claim.id)
            )
            is_cheat = points > 0 and claim.root.sum % self.cheat_every == 0
            yield from self._void(claim) if is_cheat else self._pay(claim)

    def _void(self, claim: Claim) -> Iterator[Event]:
        yield self.event("registry", "SlashBond", supplier=claim.supplier, amount=claim.bond)
        amount = claim.value + claim.bond
        yield self.event("escrow", "Refund", application=claim.session.application, amount=amount)
        yield self.event("claims", "ClaimVoided", claimId=claim.id, bond=claim.bond)

    def _pay(self, claim: Claim) -> Iterator[Event]:
        source, gateway, protocol = claim.value * 5 // 100, claim.value // 100, claim.value // 100
        yield self.event(
            "claims", "ClaimPaid", claimId=claim.id,
            supplierShare=claim.value - source - gateway - protocol, sourceShare=source,
            gatewayShare=gateway, protocolShare=protocol,
        )  # fmt: skip
