"""Everything an operator may set, read once in `gateway.cli` and passed down.

No other module reads the environment. Units are in the names.
"""

from pathlib import Path

from pydantic import BaseModel, Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from contracts import ChainSettings, OrderSettings
from gateway.access.database import verify_database_url
from gateway.api.body import RequestLimits
from gateway.api.cors import Cors
from gateway.edge.plane import EdgeRules
from gateway.routing.router import PolicyName, RoutingRules
from gateway.routing.upstream import UpstreamTimeouts
from gateway.routing.waiting_room import WaitingRules
from node.http import LineRules
from node.settings import Networks, NodeSettings
from node.tls import ClientTls, ListenerTls
from node.traces import TelemetrySettings

ADMIN_TOKEN_CHARS_MIN = 24
ADMIN_TOKEN_DISTINCT_MIN = 8
"""Different characters, so that no word or number repeated passes for a secret."""


class KeySettings(BaseModel):
    """Where the keys are; a raw key is taken on the local network only (chain id 31337)."""

    owner_keystore: Path | None = Field(default=None, description="registers, funds, delegates")
    owner_password_file: Path | None = None
    owner_key: SecretStr | None = Field(default=None, description="hex; local network only")
    signing_keystore: Path | None = Field(default=None, description="signs relays and receipts")
    signing_password_file: Path | None = None
    signing_key: SecretStr | None = Field(default=None, description="hex; local network only")
    next_signing_keystore: Path | None = Field(
        default=None, description="written by `gateway rotate-key`; held, not used yet"
    )
    former_signing_keystores: list[Path] = Field(
        default=[], description="rotated keys whose receipts may still be undelivered"
    )


class ServerSettings(BaseModel):
    """The clients' listener and its bounds."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes any free port")
    connections_max: int = Field(default=4096, ge=1)
    body_bytes_max: int = Field(default=10 << 20, ge=1024)
    body_depth_max: int = Field(default=32, ge=4, le=256)
    choices_max: int = Field(default=5, ge=1, le=128)
    output_tokens_default: int = Field(
        default=512, ge=1, description="max_tokens where the client names none"
    )
    answers_kept_s: float = Field(
        default=86_400.0, gt=0, description="how long an Idempotency-Key gets the same answer"
    )
    requests_kept: int = Field(
        default=4096, ge=0, description="requests of late that `GET /v1/requests/ID` knows"
    )
    write_stall_s: float = Field(
        default=30.0, gt=0, description="who reads nothing for so long is let go"
    )
    drain_s: float = Field(default=60.0, ge=0, description="open relays may finish at shutdown")
    cors_origins: list[str] = Field(
        default=[], description="origins whose pages may call from a browser; `*` is any"
    )
    tls: ListenerTls = ListenerTls()

    def cors(self) -> Cors:
        """The pages that may call from a browser."""
        return Cors(frozenset(self.cors_origins))

    def limits(self) -> RequestLimits:
        """The bounds on one request."""
        return RequestLimits(self.body_bytes_max, self.body_depth_max, self.choices_max)


class ControlSettings(BaseModel):
    """The operator's listener: keys, usage, metrics; not for the public."""

    host: str = "127.0.0.1"
    port: int = Field(default=8081, ge=0, le=65535, description="0 takes any free port")
    admin_token: SecretStr | None = Field(default=None, description="unset closes /admin and /v1")

    @field_validator("admin_token")
    @classmethod
    def _require_strong(cls, token: SecretStr | None) -> SecretStr | None:
        text = "" if token is None else token.get_secret_value()
        if token is not None and (
            len(text) < ADMIN_TOKEN_CHARS_MIN or len(set(text)) < ADMIN_TOKEN_DISTINCT_MIN
        ):
            raise ValueError("too weak to guard API keys; take one from `openssl rand -hex 24`")
        return token


class BatchSettings(BaseModel):
    """How batches are answered beside clients that wait."""

    width: int = Field(default=8, ge=1, description="lines answered at a time, over all batches")
    yield_above: int = Field(
        default=32, ge=1, description="requests of waiting clients from which on no line is begun"
    )
    key_bytes_max: int = Field(
        default=1 << 30, ge=0, description="bytes of files with which one key may upload no more"
    )


class QueueSettings(BaseModel):
    """How many requests run at a time, and wait for that."""

    in_flight_per_supplier: int = Field(
        default=256, ge=1, description="requests that run at a time, for each member of a session"
    )
    length_max: int = Field(default=1024, ge=0, description="requests that wait for one service")
    wait_s: float = Field(default=10.0, ge=0, description="longest wait for one's turn")

    def rules(self) -> WaitingRules:
        """The same as the data plane wants them."""
        return WaitingRules(self.in_flight_per_supplier, self.length_max, self.wait_s)


class RelaySettings(BaseModel):
    """How relays are sent and settled."""

    tries_max: int = Field(default=3, ge=1)
    expiry_s: int = Field(default=120, ge=1, description="how long a signed request may be used")
    connect_s: float = Field(default=5.0, gt=0)
    first_byte_s: float = Field(
        default=60.0, gt=0, description="until a stream's head, or the end of a plain answer"
    )
    stall_s: float = Field(default=30.0, gt=0, description="longest silence inside an answer")
    total_s: float = Field(default=600.0, gt=0, description="until a stream's end")
    prompt_bytes_per_s: float = Field(
        default=1000.0, gt=0, description="slowest reading of a request; lengthens the time-outs"
    )
    answer_tokens_per_s: float = Field(
        default=10.0, gt=0, description="slowest writing of an answer; lengthens the time-outs"
    )
    beat_s: float = Field(
        default=10.0, gt=0, description="silence after which a stream's client is sent a comment"
    )
    cancel_s: float = Field(default=5.0, gt=0)
    receipts_flush_s: float = Field(default=0.25, gt=0, description="receipts wait this long")
    recount_deadline_s: float = Field(default=60.0, gt=0)
    credit_units: int = Field(default=200_000, ge=0, description="a supplier's c0, as assumed")
    credit_growth_ppm: int = Field(default=500_000, ge=0, description="its g, in millionths")
    policy: PolicyName = Field(
        default="power_of_two", description="how suppliers are chosen, or `weighted`, `prefix`"
    )
    explore_share: float = Field(
        default=0.02, ge=0, le=1, description="of the choices, made blindly"
    )
    owner_share_max: float = Field(
        default=0.75, gt=0, le=1, description="of a model's requests, to suppliers of one owner"
    )
    retry_share: float = Field(
        default=0.2, ge=0, description="of the requests, that may be sent to another supplier"
    )
    audit_share: float = Field(
        default=0.0, ge=0, le=1, description="of repeatable plain answers, asked for again"
    )
    allow_networks: Networks = Field(
        default=[], description="private networks suppliers may be in, as CIDR"
    )
    tls: ClientTls = ClientTls()

    def timeouts(self) -> UpstreamTimeouts:
        """The deadlines of one try."""
        return UpstreamTimeouts(
            self.connect_s, self.first_byte_s, self.stall_s, self.total_s, self.cancel_s,
            self.prompt_bytes_per_s, self.answer_tokens_per_s,
        )  # fmt: skip

    def routing(self) -> RoutingRules:
        """How members are chosen."""
        return RoutingRules(self.policy, self.explore_share, self.owner_share_max)


class DialSettings(BaseModel):
    """The lines of suppliers that take no connections and dial this gateway."""

    lines_max: int = Field(default=8192, ge=1, description="connections of all such suppliers")
    lines_per_supplier_max: int = Field(default=512, ge=1)
    handshakes_max: int = Field(
        default=256, ge=1, description="suppliers challenged at once; beyond it the oldest goes"
    )
    handshake_s: float = Field(default=5.0, gt=0, description="to prove who dials")
    beat_s: float = Field(
        default=15.0, gt=0, le=20, description="idleness after which a line is asked if it works"
    )

    def rules(self) -> LineRules:
        """The same as the chassis wants them."""
        return LineRules(self.lines_max, self.lines_per_supplier_max, self.beat_s)


class EdgeSettings(BaseModel):
    """How plans for edge inference are sold and checked."""

    window_ms: float = Field(default=50.0, gt=0, description="bids are gathered this long")
    plan_s: float = Field(default=10.0, gt=0, description="a granted plan is to be used within")
    relay_us: int = Field(
        default=20_000, ge=0, description="the relay's own time, planned with at least"
    )
    users_expected: int = Field(
        default=20, ge=1, description="of a round; fixes the auction's base before any bid"
    )
    audit_ppm: int = Field(
        default=100_000, ge=0, le=10**6, description="of the tails, computed again in millionths"
    )

    def rules(self) -> EdgeRules:
        """The same as the data plane wants them."""
        return EdgeRules(self.window_ms / 1000, self.plan_s, self.relay_us, self.users_expected)


class AuctionSettings(BaseModel):
    """What is bid in epoch auctions, by the owner's key: its application pays for what it wins."""

    bids: dict[str, OrderSettings] = Field(
        default={}, description="service id = { price, quantity }, bid in every round"
    )
    clears: list[str] = Field(
        default=[], description="services whose rounds to clear, against a bond"
    )
    poll_s: float = Field(default=1.0, gt=0, description="between looks for a new block")


class Settings(NodeSettings):
    """Settings of one gateway; `GATEWAY_SERVER__PORT` sets `server.port`."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    gateway_id: str = Field(default="", description="0x + 40 hex; unset: the owner key's address")
    application: str = Field(
        default="", description="who pays for new API keys; unset: the owner key's address"
    )
    public_url: str = Field(default="", description="where clients reach the gateway, on chain")
    models: dict[str, str] = Field(
        default={}, description="model name = service id; unset serves every delegated service"
    )
    data_dir: Path = Path("gateway-data")
    database_url: SecretStr | None = Field(
        default=None, description="PostgreSQL that replicas share; unset: `keys.db` in data_dir"
    )
    keys_age_s_max: float | None = Field(
        default=None, ge=10,
        description="keys are refused where the tables could not be read so long; unset: never",
    )  # fmt: skip
    shared_dir: Path | None = Field(
        default=None,
        description="directory of files, batches and kept answers of replicas; unset: data_dir",
    )
    limits_url: SecretStr | None = Field(
        default=None, description="Redis where replicas keep limits together; unset: each its own"
    )
    replicas: int = Field(
        default=1, ge=1, description="gateways that serve as this one, each with its own data_dir"
    )
    records_kept_days: int = Field(
        default=35, ge=32, description="how long receipts and usage lines are kept; over a month"
    )
    chain: ChainSettings = ChainSettings()
    keys: KeySettings = KeySettings()
    server: ServerSettings = ServerSettings()
    control: ControlSettings = ControlSettings()
    relays: RelaySettings = RelaySettings()
    dial: DialSettings = DialSettings()
    queue: QueueSettings = QueueSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    batches: BatchSettings = BatchSettings()
    edge: EdgeSettings = EdgeSettings()
    auction: AuctionSettings = AuctionSettings()

    @field_validator("database_url")
    @classmethod
    def _require_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            verify_database_url(url.get_secret_value())
        return url

    @field_validator("limits_url")
    @classmethod
    def _require_redis(cls, url: SecretStr | None) -> SecretStr | None:
        scheme = "redis" if url is None else url.get_secret_value().partition("://")[0]
        if scheme not in ("redis", "rediss"):
            raise ValueError("give redis://:password@host:6379/0, or rediss://")
        return url

    @property
    def shared(self) -> Path:
        """Where what replicas have in common is kept."""
        return self.shared_dir or self.data_dir

    @property
    def tables(self) -> Path | str:
        """Where the gateway's own tables are: a SQLite file, or a URL."""
        url = self.database_url
        return self.data_dir / "keys.db" if url is None else url.get_secret_value()
