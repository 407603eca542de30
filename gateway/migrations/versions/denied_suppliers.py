"""Suppliers that the operator does not want asked."""

import sqlalchemy as sa
from alembic import op

revision = "denied_suppliers"
down_revision = "key_limits"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "denied_supplier",
        sa.Column("supplier", sa.String, primary_key=True),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("denied_at", sa.Integer, nullable=False),
    )
