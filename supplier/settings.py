"""Everything an operator may set, read once in `supplier.cli` and passed down.

No other module reads the environment. Units are in the names.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from contracts import ChainSettings, OrderSettings
from node.errors import OperatorError
from node.settings import Networks, NodeSettings, parse_hex
from node.tls import ClientTls, ListenerTls
from node.traces import TelemetrySettings
from relay_mining import DIALS_OUT, RECEIPTS_BYTES_MAX, Address, Clock

ENVIRONMENT_PREFIX = "SUPPLIER_"
ENGINE_NAME_MAX = 64
OWN_KINDS = ("embedded", "vllm")
"""The engines that a supplier starts itself; one of any kind may run at a URL."""


class KeySettings(BaseModel):
    """Where the keys are; a raw key is taken on the local network only (chain id 31337)."""

    operator_keystore: Path | None = None
    operator_password_file: Path | None = None
    operator_key: SecretStr | None = Field(default=None, description="hex; local network only")
    next_operator_keystore: Path | None = Field(
        default=None, description="taken over at a session boundary: `supplier rotate-key`"
    )
    next_operator_password_file: Path | None = None
    next_operator_key: SecretStr | None = Field(default=None, description="hex; local network only")
    owner_keystore: Path | None = None
    owner_password_file: Path | None = None
    owner_key: SecretStr | None = Field(default=None, description="hex; local network only")


class ServerSettings(BaseModel):
    """The relay server's listener and its bounds."""

    host: str = "127.0.0.1"
    port: int = Field(default=8800, ge=0, le=65535, description="0 takes any free port")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="dashboard and /metrics; 0: only /metrics, on `port`"
    )
    relays_open_max: int = Field(default=256, ge=1)
    gateway_percent_max: int = Field(
        default=75, ge=1, le=100, description="of `relays_open_max`, that one gateway may have open"
    )
    session_lookups_max: int = Field(default=8, ge=1, description="sessions looked up at once")
    body_bytes_max: int = Field(default=10 << 20, ge=RECEIPTS_BYTES_MAX)
    expiry_s_max: int = Field(default=300, ge=1, description="a request may expire this far ahead")
    write_timeout_s: float = Field(
        default=30.0, gt=0, description="who reads nothing for so long is let go"
    )
    drain_s: float = Field(default=60.0, ge=0, description="open relays may finish at shutdown")
    tls: ListenerTls = ListenerTls()

    @property
    def gateway_relays_max(self) -> int:
        """Relays that one gateway may have open, rounded up."""
        return -(-self.relays_open_max * self.gateway_percent_max // 100)


class EngineSettings(BaseModel):
    """An engine behind this supplier: started as a child, or already running at `url`."""

    name: str = Field(
        default="engine",
        pattern=rf"^[A-Za-z0-9_.-]{{1,{ENGINE_NAME_MAX}}}$",
        description="in metrics, earnings and commands",
    )
    services: list[str] = Field(
        default=[], description="of `services` those it serves; unset: all that are of its model"
    )
    url: str | None = Field(default=None, description="unset: start the engine as a child")
    kind: str = Field(
        default="embedded",
        pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$",
        description="embedded, vllm, or of one at a URL its name, as llama.cpp; in the digest",
    )
    model: str = Field(default="", description="model directory")
    served_model_name: str = "lode-demo"
    context_length: int | None = Field(
        default=None, ge=1, description="where the engine runs with less than the model's own"
    )
    dtype: str = Field(
        default="", description="of the arithmetic; unset: what the model's config.json says"
    )
    quantization: str = Field(default="", description="unset: what the model's config.json says")
    version: str = Field(
        default="", description="release the service is listed for, as 0.32; unset: any"
    )
    program: str = Field(default="vllm", description="vLLM's command, where it is not on the PATH")
    arguments: list[str] = Field(default=[], description="more arguments for the engine")
    port: int = Field(
        default=8001, ge=0, le=65535, description="for engines that are told theirs; 0: a free one"
    )
    connections_max: int = Field(default=256, ge=1)
    timeout_s: float = Field(default=600.0, gt=0, description="a whole relay")
    start_timeout_s: float = Field(default=600.0, gt=0)
    watch_interval_s: float = Field(default=2.0, gt=0, description="between looks at its health")
    drain_s: float = Field(
        default=300.0, gt=0, description="what it has in hand may end before a change or restart"
    )
    answer_bytes_max: int = Field(default=64 << 20, ge=1024)
    count_prompts: bool = Field(
        default=True, description="check maxUnits against the counted prompt before serving"
    )

    @model_validator(mode="after")
    def _start_own_kinds_only(self) -> Self:
        if self.url is None and self.kind not in OWN_KINDS:
            raise ValueError(
                f"an engine of kind {self.kind} is started by you: set its url, or a kind that the "
                f"supplier starts ({' or '.join(OWN_KINDS)})"
            )
        return self


class AdmissionSettings(BaseModel):
    """Who is served next, and how many at once; a relay waits its turn beyond that."""

    active_max: int | None = Field(
        default=None,
        ge=1,
        description="relays an engine works on at once; unset: what it says it can, --max-num-seqs",
    )
    active_min: int = Field(default=4, ge=1, description="the target lowers it no further")
    token_target_s: float = Field(
        default=0.0,
        ge=0,
        description="seconds per output token aimed at by letting in more or fewer; 0: fixed",
    )
    wait_s_max: float = Field(default=20.0, gt=0, description="then a waiting relay is refused")
    deficit_units: int = Field(
        default=20_000,
        ge=0,
        description="units after which an application passed over goes first; 0: never",
    )


class CreditSettings(BaseModel):
    """Units served before their receipts are seen (protocol, section 4)."""

    initial_units: int = Field(default=200_000, ge=0, description="c0, to a new gateway")
    growth_ppm: int = Field(
        default=500_000, ge=0, description="g, in millionths of the units it has receipted"
    )
    receipt_due_s: float = Field(default=30.0, gt=0, description="after that it is overdue")
    interim_units: int = Field(
        default=20_000, ge=0, description="units after which a stream is receipted; 0: at its end"
    )
    bound_by_fee: bool = Field(
        default=True, description="keep c0 * price * K below the delegation's fee"
    )
    new_gateways_units: int = Field(
        default=2_000_000, ge=0, description="given to all gateways without history together"
    )


class SettlementSettings(BaseModel):
    """How claims are made and bonded."""

    claim_delay_blocks: int | None = Field(
        default=None, ge=0, description="unset: a quarter of a session"
    )
    bond_percent: int = Field(
        default=100,
        ge=1,
        le=100_000,
        description="bond as a share of the claim's value; 100 opens one or two leaves",
    )
    gateway_fee_bps_max: int = Field(
        default=1_000,
        ge=0,
        le=10_000,
        description="highest gateway fee of a delegation served; it comes out of the ask",
    )
    gas_price_cover: bool = Field(default=True, description="skip claims smaller than their gas")
    gas_units_per_claim: int = Field(default=350_000, ge=0)
    token_per_native: float = Field(
        default=0.0, ge=0, description="base units one whole native coin is worth; 0 skips nothing"
    )
    collect_min: int = Field(default=0, ge=0, description="collect above this; 0 never by itself")
    bundles_dir: Path | None = Field(
        default=None, description="where watchtowers find what proves each claim; unset: nowhere"
    )

    def claim_delay(self, clock: Clock) -> int:
        """Blocks of the claim window left for the last receipts; a quarter is rounded down."""
        delay = self.claim_delay_blocks
        return clock.session_blocks // 4 if delay is None else delay

    def claim_patience(self, clock: Clock) -> int:
        """Blocks of the claim window left where receipts are missing; a half is rounded down."""
        return clock.session_blocks // 2


class SharedSettings(BaseModel):
    """What several relay servers of one supplier share."""

    database_url: SecretStr | None = Field(
        default=None, description="postgresql://..., of this supplier alone; unset: one node"
    )
    url: str = Field(
        default="",
        description="base URL at which gateways reach this very server; where it dials, any name",
    )
    lease_s: float = Field(
        default=3.0, gt=0.1, description="silence after which others take over its gateways"
    )


class DialSettings(BaseModel):
    """How gateways are dialled where `public_url` is `dial:`, because nothing reaches this machine.

    Such a connection is a line; gateways send their relays on it.
    """

    urls: dict[str, list[str]] = Field(
        default={},
        description="gateway id = URLs to dial instead of the one on the chain; its replicas say",
    )
    gateways_max: int = Field(default=32, ge=1, description="those with most funds behind them")
    spare: int = Field(default=4, ge=1, description="lines kept ready beside the busy ones")
    lines_max: int = Field(default=288, ge=1, description="to each gateway, busy ones included")
    connect_s: float = Field(default=10.0, gt=0, description="to open a line, handshake included")
    silence_s: float = Field(
        default=60.0, gt=0, description="a line on which nothing has come for so long is dropped"
    )
    retry_s_max: float = Field(
        default=30.0, gt=0, description="longest pause before a gateway is dialled again"
    )
    allow_networks: Networks = Field(
        default=[], description="private networks gateways may be in, as CIDR"
    )
    tls: ClientTls = ClientTls()


class AuctionSettings(BaseModel):
    """What is asked for in epoch auctions; the operator needs tokens for the bonds."""

    asks: dict[str, OrderSettings] = Field(
        default={}, description="service id = { price, quantity }, asked in every round"
    )
    poll_s: float = Field(default=1.0, gt=0, description="between looks for a new block")


class Settings(NodeSettings):
    """Settings of one supplier; `SUPPLIER_CHAIN__CONFIRMATIONS` sets `chain.confirmations`."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX)

    supplier_id: str = Field(default="", description="0x + 40 hex, printed by `supplier stake`")
    services: list[str] = Field(default=[], description="0x + 64 hex, the services served")
    public_url: str = Field(
        default="", description="base URL gateways reach this server at; `dial:` dials them instead"
    )
    data_dir: Path = Path("supplier-data")
    chain: ChainSettings = ChainSettings()
    keys: KeySettings = KeySettings()
    server: ServerSettings = ServerSettings()
    engine: EngineSettings = EngineSettings()
    engines: list[EngineSettings] = Field(
        default=[], description="several engines, each a table [[engines]] of the keys of [engine]"
    )
    dial: DialSettings = DialSettings()
    admission: AdmissionSettings = AdmissionSettings()
    credit: CreditSettings = CreditSettings()
    settlement: SettlementSettings = SettlementSettings()
    auction: AuctionSettings = AuctionSettings()
    shared: SharedSettings = SharedSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    @property
    def dials_out(self) -> bool:
        """Whether gateways are dialled, since they cannot reach this server."""
        return self.public_url == DIALS_OUT

    @model_validator(mode="after")
    def _tell_engines_apart(self) -> Self:
        names = Counter(each.name for each in self.engines)
        twice = sorted(name for name, count in names.items() if count > 1)
        if twice:
            raise ValueError(
                f"several of [[engines]] are named {', '.join(twice)}: give each a name"
            )
        if self.engines and "engine" in self.model_fields_set:
            raise ValueError("both [engine] and [[engines]] are set: keep one of them")
        return self

    @property
    def all_engines(self) -> tuple[EngineSettings, ...]:
        """The engines of this supplier: those of [[engines]], else the one of [engine]."""
        return tuple(self.engines) or (self.engine,)

    def pick_engine(self, name: str | None) -> EngineSettings:
        """The engine of a name, or the only one; raises OperatorError."""
        found = [each for each in self.all_engines if name in (None, each.name)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(each.name for each in self.all_engines)
        raise OperatorError(f"which engine? There are: {names}")

    def supplier(self) -> Address:
        """The supplier's id; raises OperatorError where there is none yet."""
        if not self.supplier_id:
            raise OperatorError("no supplier_id in the settings: run `supplier stake` first")
        return parse_hex("supplier_id", self.supplier_id, 20)

    @classmethod
    def load(cls, config: Path | None, **overrides: Any) -> Self:
        """As every node's; a model directory may also be named from the file's directory."""
        settings = super().load(config, **overrides)
        if config is None:
            return settings
        for engine in settings.all_engines:
            directory = config.resolve().parent / engine.model
            if engine.model and directory.is_dir():
                engine.model = str(directory)
        return settings
