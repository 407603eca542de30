"""What tells why less was paid than was served: the price, what others took, and when it ended."""

import sqlalchemy as sa
from alembic import op

revision = "reasons"
down_revision = "funnel"


def upgrade() -> None:
    """Add the columns; 0 in rows that are there means that it is not known."""
    for name in ("price", "net"):
        op.add_column(
            "supplier_session", sa.Column(name, sa.String, nullable=False, server_default="0")
        )
    closed_at = sa.Column("closed_at", sa.Float, nullable=False, server_default="0")
    op.add_column("supplier_session", closed_at)
