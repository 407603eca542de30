"""Projects, and the one that a key was made in."""

import sqlalchemy as sa
from alembic import op

revision = "projects"
down_revision = "revision"

NUMBERS = ("requests_per_minute", "tokens_per_minute", "daily_budget", "monthly_budget")


def upgrade() -> None:
    """Make the table; keys that exist are in no project."""
    op.create_table(
        "project",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("archived_at", sa.BigInteger),
        sa.Column("models", sa.JSON),
        *(sa.Column(name, sa.BigInteger) for name in NUMBERS),
    )
    op.add_column("api_key", sa.Column("project", sa.String))
