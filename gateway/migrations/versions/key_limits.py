"""What a key may do and spend: expiry, models, rates, budgets."""

import sqlalchemy as sa
from alembic import op

revision = "key_limits"
down_revision = "keys"

NUMBERS = (
    "expires_at", "requests_per_minute", "tokens_per_minute", "daily_budget", "monthly_budget",
)  # fmt: skip


def upgrade() -> None:
    """Add the columns; keys that exist get no limits."""
    for name in NUMBERS:
        op.add_column("api_key", sa.Column(name, sa.BigInteger))
    op.add_column("api_key", sa.Column("models", sa.JSON))
