"""Which engine served how much."""

import sqlalchemy as sa
from alembic import op

revision = "engines"
down_revision = "reasons"


def upgrade() -> None:
    """Add the column; of sessions that are closed it is not known."""
    engines = sa.Column("engines", sa.String, nullable=False, server_default="{}")
    op.add_column("supplier_session", engines)
