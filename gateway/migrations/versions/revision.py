"""Which state the tables are in, for gateways that look whether it changed."""

import sqlalchemy as sa
from alembic import op

revision = "revision"
down_revision = "admin_actions"


def upgrade() -> None:
    """Make the table with its one row."""
    table = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
    op.bulk_insert(table, [{"id": 1, "number": 0}])
