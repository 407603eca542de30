"""Who changed what."""

import sqlalchemy as sa
from alembic import op

revision = "admin_actions"
down_revision = "denied_suppliers"


def upgrade() -> None:
    """Make the table; what was changed before it is not known."""
    op.create_table(
        "admin_action",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
