"""The binary log, read for the keys of changed rows only.

Contract: give a ``BinlogReader`` a position and the tables of interest, and its sink is told, in
the order of the log and on the reader's own thread, which keys were upserted or deleted, where
transactions end, and when somebody changes a table's definition. Row images are never decoded:
whoever wants a row's values selects them, once they are visible (they may not be for a while
after their event). Missing nothing is the promise; telling something twice is allowed.

Reader's map, from the wire upwards:

- ``stream``       the dump connection, and what its failures mean
- ``events``       layouts of events without rows; ``taggedgtid``, ``payload`` for two special ones
- ``tablemap``     a table's column types as the log has them; ``values`` decodes key values
- ``walker``       generates the functions that find keys in row images; ``rows`` uses them;
                   ``defaults`` has key values that an image leaves out
- ``ddl``          which tables a logged statement changes
- ``interpreter``  transactions, positions, XA: events to sink
- ``reader``       the thread, reconnection, stop
- ``status``       questions about the log on an ordinary connection; ``files``: when a file began
- ``position``, ``gtid``, ``sink``, ``errors``  the words all of them share

Limits: files of 4 GiB or more are read from their beginning when no GTIDs are in use; events
without keys (a key column left out by binlog_row_image=MINIMAL) end the reader with a message.
"""

from migrations_app.engine.binlog.errors import (
    ChangesLostError,
    PositionLostError,
    UnreadableEventError,
)
from migrations_app.engine.binlog.files import begun_at
from migrations_app.engine.binlog.gtid import GtidSet
from migrations_app.engine.binlog.position import Position
from migrations_app.engine.binlog.reader import BinlogReader
from migrations_app.engine.binlog.sink import Sink, Subscription
from migrations_app.engine.binlog.status import current_position, uses_gtids, why_unavailable

__all__ = [
    "BinlogReader",
    "ChangesLostError",
    "GtidSet",
    "Position",
    "PositionLostError",
    "Sink",
    "Subscription",
    "UnreadableEventError",
    "begun_at",
    "current_position",
    "uses_gtids",
    "why_unavailable",
]
