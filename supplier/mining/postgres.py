"""How a supplier's PostgreSQL is connected to: every wait ends, whatever fails on the way."""

from typing import Any

CONNECT_S = 3
STATEMENT_S = 10.0
KEEPALIVE_S = 2


def connect_options(statement_s: float = STATEMENT_S) -> dict[str, Any]:
    """Arguments of psycopg's `connect`, for a statement or an answer of at most so many seconds."""
    statement_ms = int(statement_s * 1000)
    return {
        "connect_timeout": CONNECT_S,
        "tcp_user_timeout": statement_ms,
        "keepalives_idle": KEEPALIVE_S,  # a machine that is gone while it owes an answer
        "keepalives_interval": KEEPALIVE_S,
        "application_name": "lode-supplier",
        "options": f"-c synchronous_commit=on -c statement_timeout={statement_ms} "
        f"-c idle_in_transaction_session_timeout={statement_ms}",
    }
