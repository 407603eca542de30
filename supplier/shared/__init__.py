"""Several relay servers of one supplier over one PostgreSQL: see docs/relay-servers.md.

Imported only where `shared.database_url` is set.
"""

from supplier.shared.database import Database
from supplier.shared.errors import FencedError, SharedDatabaseError
from supplier.shared.record_rows import SharedReader
from supplier.shared.sharing import Sharing

__all__ = ["Database", "FencedError", "SharedDatabaseError", "SharedReader", "Sharing"]
