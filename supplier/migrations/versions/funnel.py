"""What settlement sent, and the funnel of each closed session."""

import sqlalchemy as sa
from alembic import op

revision = "funnel"
down_revision = None

UNITS = ("relays", "served", "receipted", "payable", "lost")
AMOUNTS = ("value", "bond", "paid")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "supplier_sent_action",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("block", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String, nullable=False, index=True),
        sa.Column("session", sa.String, nullable=False, index=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("amount", sa.String, nullable=False),
        sa.Column("transaction", sa.String, nullable=False),
        sa.Column("gas_used", sa.Integer, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
    )
    op.create_table(
        "supplier_session",
        sa.Column("session", sa.String, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False, index=True),
        sa.Column("application", sa.String, nullable=False),
        sa.Column("gateway", sa.String, nullable=False, index=True),
        sa.Column("service", sa.String, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in UNITS),
        *(sa.Column(name, sa.String, nullable=False) for name in AMOUNTS),
        sa.Column("outcome", sa.String, nullable=False),
    )
