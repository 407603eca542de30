"""What the metrics show of the parts: what waits, what runs, what is left."""

from gateway.access.accounts import Accounts
from gateway.access.limits import SECOND_NS
from gateway.metrics import Metrics
from gateway.routing.market import Refresher
from gateway.routing.relaying import Relays
from gateway.settlement.delivery import Deliverer
from gateway.settlement.funds_watch import FundsWatch
from gateway.settlement.settling import Settler


def watch(
    metrics: Metrics, deliverer: Deliverer, settler: Settler, refresher: Refresher,
    accounts: Accounts,
) -> None:  # fmt: skip
    """Have the metrics show what waits, and the chain and the keys as last seen."""
    outbox = deliverer.outbox
    metrics.watch("gateway_receipts_waiting", "Receipts not acknowledged", lambda: len(outbox))
    metrics.watch(
        "gateway_receipts_overdue_seconds",
        "For how long the supplier that takes no receipts has taken none",
        lambda: deliverer.overdue_s,
    )
    metrics.watch("gateway_recounts_waiting", "Answers to recount", lambda: settler.waiting)
    metrics.watch("gateway_session", "The session being served", lambda: refresher.table.number)
    metrics.watch("gateway_head_block", "Newest block seen", lambda: refresher.head_block)
    metrics.watch(
        "gateway_clock_skew_seconds", "How far this clock is ahead of new blocks",
        lambda: refresher.skew.skew_s,
    )  # fmt: skip
    metrics.watch(
        "gateway_keys_age_seconds", "Since the tables last agreed with the keys here",
        lambda: accounts.age_ns / SECOND_NS,
    )  # fmt: skip


def watch_load(metrics: Metrics, relays: Relays, funds: FundsWatch) -> None:
    """Have the metrics show what runs, what waits for its turn, and what is left to spend."""
    retries = relays.dispatcher.retries
    metrics.watch(
        "gateway_requests_running", "Requests at suppliers", lambda: relays.waiting.running
    )
    metrics.watch(
        "gateway_requests_waiting", "Requests that wait for room", lambda: relays.waiting.waiting
    )
    metrics.watch("gateway_retries_left", "Of the retry budget", lambda: retries.left)
    metrics.watch("gateway_retries_denied", "Retries not made", lambda: retries.denied)
    metrics.watch(
        "gateway_escrow_sessions_left", "Sessions that the scarcest escrow stays valid for",
        lambda: funds.sessions_min,
    )  # fmt: skip
    metrics.watch(
        "gateway_delegation_used_ratio", "Of its cap, what the most used open session has spent",
        lambda: funds.used_max,
    )  # fmt: skip
