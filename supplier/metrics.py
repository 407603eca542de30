"""The supplier's Prometheus metrics: the funnel from served to paid, in units and in money."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from relay_mining import UNITS_PER_PRICE

STAGES_OF_UNITS = ("served", "receipted", "payable", "lost", "claimed", "proved")
STAGES_OF_MONEY = (*STAGES_OF_UNITS, "paid", "voided")
LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """All metrics of one supplier process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.funnel_units = Counter(
            "supplier_funnel_units",
            f"Compute units at each stage: {', '.join(STAGES_OF_UNITS)}",
            ["stage"],
            registry=self.registry,
        )
        self.funnel_tokens = Counter(
            "supplier_funnel_token_base_units",
            f"Money at each stage, in token base units: {', '.join(STAGES_OF_MONEY)}",
            ["stage"],
            registry=self.registry,
        )
        self.relays = Counter(
            "supplier_relays", "Relays by how they ended", ["status"], registry=self.registry
        )
        self.refused = Counter(
            "supplier_relays_refused", "Relays refused before any work, by the error's code",
            ["code"], registry=self.registry,
        )  # fmt: skip
        self.receipts = Counter(
            "supplier_receipts", "Receipts by outcome", ["outcome"], registry=self.registry
        )
        self.first_byte_s = Histogram(
            "supplier_first_byte_seconds", "From a relay's arrival to its first byte back",
            buckets=LATENCY_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.open_relays = Gauge(
            "supplier_open_relays", "Relays being served", registry=self.registry
        )
        self.queue_waiting = Gauge(
            "supplier_queue_waiting", "Relays that wait for a place at an engine",
            ["engine", "priority"],
            registry=self.registry,
        )  # fmt: skip
        self.queue_wait_s = Histogram(
            "supplier_queue_wait_seconds", "How long a relay waited for a place at an engine",
            ["priority"], buckets=LATENCY_BUCKETS_S, registry=self.registry,
        )  # fmt: skip
        self.active_limit = Gauge(
            "supplier_active_relays_limit", "Relays an engine may work on at once now", ["engine"],
            registry=self.registry,
        )  # fmt: skip
        self.lines = Gauge(
            "supplier_lines", "Connections dialled to a gateway, by what they do: idle, busy",
            ["gateway", "state"], registry=self.registry,
        )  # fmt: skip
        self.dials = Counter(
            "supplier_dials", "Attempts to open a line to a gateway, by outcome",
            ["gateway", "outcome"], registry=self.registry,
        )  # fmt: skip
        self.engine_up = Gauge(
            "supplier_engine_up", "Whether an engine is healthy", ["engine"],
            registry=self.registry,
        )  # fmt: skip
        self.engine_restarts = Gauge(
            "supplier_engine_restarts", "Times an engine was started again", ["engine"],
            registry=self.registry,
        )  # fmt: skip
        self.engine_requests = Gauge(
            "supplier_engine_requests", "Requests in an engine: running, waiting",
            ["engine", "state"], registry=self.registry,
        )  # fmt: skip
        self.engine_kv_cache_used = Gauge(
            "supplier_engine_kv_cache_used_ratio", "Share of an engine's key-value cache in use",
            ["engine"], registry=self.registry,
        )  # fmt: skip
        self.engine_relays = Gauge(
            "supplier_engine_relays", "Relays in hand for an engine, in work or waiting",
            ["engine"], registry=self.registry,
        )  # fmt: skip
        self.open_sessions = Gauge(
            "supplier_open_sessions", "Sessions not closed yet", registry=self.registry
        )
        self.operator_gas_claims = Gauge(
            "supplier_operator_gas_claims", "Claims the operator's gas pays for at the fees now",
            registry=self.registry,
        )  # fmt: skip
        self.funds = Gauge(
            "supplier_funds_token_base_units",
            "Money on the chain: stake_free, bonds, leaving, claimable", ["place"],
            registry=self.registry,
        )  # fmt: skip
        self.in_roster = Gauge(
            "supplier_in_roster", "Whether the running roster of a service holds this supplier",
            ["service"], registry=self.registry,
        )  # fmt: skip
        self.window_left = Gauge(
            "supplier_window_left_ratio",
            "What is left of the window in which something is due and that closes first; 1: none",
            registry=self.registry,
        )  # fmt: skip
        self.window_left.set(1)
        self.disk_free = Gauge(
            "supplier_disk_free_bytes", "Free under data_dir", registry=self.registry
        )
        self.head_block = Gauge(
            "supplier_head_block", "The chain's head as last seen", registry=self.registry
        )
        self.clock_skew_s = Gauge(
            "supplier_clock_skew_seconds", "How far this clock is ahead of new blocks",
            registry=self.registry,
        )  # fmt: skip
        self.relay_servers = Gauge(
            "supplier_relay_servers", "Live relay servers that share this supplier's log",
            registry=self.registry,
        )  # fmt: skip
        self.gateways_served = Gauge(
            "supplier_gateways_served", "Gateways that belong to this relay server",
            registry=self.registry,
        )  # fmt: skip
        self.settles = Gauge(
            "supplier_settles", "Whether this relay server settles for all", registry=self.registry
        )
        self.actions = Counter(
            "supplier_actions", "What settlement sent, by outcome", ["action", "outcome"],
            registry=self.registry,
        )  # fmt: skip
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Show every stage from the start: a counter whose first value is a loss has not risen."""
        for stage in STAGES_OF_UNITS:
            self.funnel_units.labels(stage)
        for stage in STAGES_OF_MONEY:
            self.funnel_tokens.labels(stage)

    def forget_engine(self, name: str) -> None:
        """Show nothing more of an engine that is gone."""
        for metric in (
            self.engine_up, self.engine_restarts, self.engine_requests, self.engine_kv_cache_used,
            self.engine_relays, self.queue_waiting, self.active_limit,
        ):  # fmt: skip
            metric.remove_by_labels({"engine": name})

    def count(self, stage: str, units: int, price: int) -> None:
        """Add units of a session at `price` (token base units a million) to a stage, and money."""
        self.funnel_units.labels(stage).inc(units)
        self.funnel_tokens.labels(stage).inc(units * price / UNITS_PER_PRICE)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)
