"""The sessions a gateway serves: what the chain said of them, frozen when they open."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gateway.api.openai import Endpoint, PromptOverhead
from gateway.edge.terms import EdgeTerms
from gateway.errors import InvalidParameterError, ModelNotFoundError, NoSupplierError
from relay_mining import Address, Hash32, SessionKey, SessionTerms, UnitWeights, Verifier

TASKS = {Endpoint.EMBEDDINGS: "embed", Endpoint.EDGE: "edge"}
"""What a service has to be for; every other endpoint generates."""
GENERATES = ("chat.completions", "completions", "streaming", "logprobs")
CAPABILITIES = {"embed": ("embeddings",), "edge": ("edge.plan", "edge.infer")}


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What a service runs, as its canonical JSON (whose sha256 is on the chain) says."""

    name: str
    context_length: int
    tokenizer_sha256: str
    chat_template_sha256: str
    document: dict[str, object]
    task: str = "generate"
    """`generate`, `embed` or `edge`."""
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    """What the chat template calls by name (`bos_token`)."""
    chat_adds_special_tokens: bool = False
    """Whether the engine adds the tokenizer's own to a rendered chat, and below to a prompt."""
    prompt_adds_special_tokens: bool = True
    edge: EdgeTerms | None = None
    """Of a service of tails."""

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What can be asked of the service, as `/v1/models` names it."""
        return CAPABILITIES.get(self.task, GENERATES)

    def verify_serves(self, endpoint: Endpoint) -> None:
        """Raise InvalidParameterError where the service does something else."""
        if TASKS.get(endpoint, "generate") != self.task:
            raise InvalidParameterError(
                f"{self.name[:128]} serves {', '.join(self.capabilities)}", param="model"
            )


@dataclass(frozen=True, slots=True)
class ServiceView:
    """A listed service and its verified spec."""

    id: Hash32
    name: str
    source: Address
    spec_hash: Hash32
    weights: UnitWeights
    spec: ServiceSpec
    overhead: PromptOverhead = field(default_factory=PromptOverhead)


@dataclass(frozen=True, slots=True)
class Member:
    """One supplier drawn for a session, with what it may earn there."""

    supplier: Address
    operator: Address
    url: str
    terms: SessionTerms
    verifier: Verifier
    dials_out: bool = False
    """Whether it is asked on lines that it opens, and only while it has one."""
    owner: Address = b""
    """Whose supplier it is."""


@dataclass(frozen=True, slots=True)
class Session:
    """One delegation in one session, ready to sign for."""

    key: SessionKey
    service: ServiceView
    cap: int
    members: tuple[Member, ...]
    signer: Address
    """The gateway's signing key on record for this session."""
    id: Hash32 = field(init=False)
    price_max: int = field(init=False)
    """The dearest member's, in token base units for a million units."""
    _prices: Mapping[Address, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.key.id)
        prices = {each.supplier: each.terms.price for each in self.members}
        object.__setattr__(self, "_prices", prices)
        object.__setattr__(self, "price_max", max(prices.values(), default=0))

    def price_of(self, supplier: Address) -> int:
        """What a member is paid, in token base units for a million units."""
        return self._prices[supplier]


@dataclass(slots=True)
class SessionTable:
    """What the request path looks up; replaced as a whole by the refresh loop."""

    number: int = -1
    sessions: dict[tuple[Address, str], Session] = field(default_factory=dict)
    models: dict[str, ServiceView] = field(default_factory=dict)
    _replaced: asyncio.Event = field(default_factory=asyncio.Event)

    def find(self, application: Address, model: str) -> Session:
        """The open session that pays for a model; raises ModelNotFoundError.

        While no session is open at all, as without the chain, raises NoSupplierError.
        """
        self.verify_ready()
        session = self.sessions.get((application, model))
        if session is None:
            raise ModelNotFoundError(
                f"the model {model[:128]!r} does not exist or is not served to this key",
                param="model",
            )
        return session

    @property
    def is_ready(self) -> bool:
        """Whether at least one session can be served."""
        return bool(self.sessions)

    def verify_ready(self) -> None:
        """Raise NoSupplierError while no session is open at all."""
        if not self.is_ready:
            raise NoSupplierError("the gateway knows of no open session now; try again shortly")

    def close(self) -> None:
        """Serve no session until the next `replace`."""
        self.sessions = {}

    def replace(self, number: int, sessions: list[Session], models: dict[str, ServiceView]) -> None:
        """Switch to the sessions of `number`; models are by the name clients call them."""
        names = {service.id: name for name, service in models.items()}
        self.sessions = {
            (each.key.application, names[each.key.service]): each
            for each in sessions
            if each.key.service in names
        }
        self.models = models
        self.number = number
        self._replaced.set()
        self._replaced = asyncio.Event()

    async def wait_beyond(self, number: int, seconds_max: float) -> None:
        """Return once a session after `number` is open, or when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds_max):
                while self.number <= number:
                    await self._replaced.wait()
