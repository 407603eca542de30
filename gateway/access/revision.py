"""Which state the tables are in: a number that every change raises, in the change's transaction."""

from sqlalchemy import update
from sqlmodel import Field, Session, SQLModel, col, select

from gateway.access.database import Database


class Revision(SQLModel, table=True):
    """The one row; whoever changes a table holds it until it commits, so no number is skipped."""

    __tablename__ = "revision"

    id: int = Field(primary_key=True)
    number: int


def raise_revision(session: Session) -> None:
    """Tell the gateways on these tables, once the transaction commits, to read them again."""
    session.execute(update(Revision).values(number=col(Revision.number) + 1))


def read_revision(database: Database) -> int:
    """The number now; raises DatabaseError."""
    with database.session() as session:
        return session.exec(select(Revision.number)).one()
