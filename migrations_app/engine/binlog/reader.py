"""The reader: one thread that follows the binary log for as long as a run lasts."""

from __future__ import annotations

import collections
import logging
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from migrations_app.engine.binlog.errors import PositionLostError
from migrations_app.engine.binlog.events import KIND_AT, EventType
from migrations_app.engine.binlog.gtid import GtidSet
from migrations_app.engine.binlog.interpreter import Interpreter
from migrations_app.engine.binlog.position import Position
from migrations_app.engine.binlog.sink import Sink, Subscription
from migrations_app.engine.binlog.stream import DumpStream, StreamClosedError
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import EngineError, ServerLostError, TransientError

logger = logging.getLogger(__name__)

THREAD_NAME = "spirit-binlog"
_FIRST_PAUSE_SECS = 0.1
_LONGEST_PAUSE_SECS = 5.0
_THROTTLE_POLL_SECS = 0.05
# Woken once for all that comes in such a time, instead of for each transaction, the thread takes a
# quarter less CPU on a busy server (docs/benchmarks.md).
_REST_SECS = 0.008
_JOIN_TIMEOUT_SECS = 30.0
# Server ids are usually small numbers chosen by people.
_SERVER_ID_BASE = 2**31
# Sent before the server has looked at what is behind the requested position.
_PREAMBLE = frozenset({EventType.ROTATE, EventType.FORMAT_DESCRIPTION})


def _never() -> bool:
    return False


class BinlogReader:
    """Reads the binary log from a position on and tells a sink which keys changed.

    ``start`` opens the connection in the caller's thread and starts the thread; ``stop`` ends
    both, and may be called by any thread, at any time, more than once. A lost connection is
    opened again, with growing pauses, from the last complete transaction; after
    ``give_up_after_secs`` without success, or on anything definitive, the thread ends and
    ``error`` says why.

    use_gtid: read by GTID set, which survives a change of the source server; else by file and
    offset, as also for a set with tags, which the dump request of this client cannot hold.
    server_id: must be no other replica's; chosen at random if None. throttle: polled between
    events; nothing is read while it returns True. awaited: set while somebody waits
    for what comes; otherwise the thread rests a moment when it has delivered all that has come.
    """

    def __init__(
        self,
        dsn: Dsn,
        start: Position,
        subscriptions: Sequence[Subscription],
        sink: Sink,
        *,
        use_gtid: bool,
        server_id: int | None = None,
        heartbeat_secs: float = 0.5,
        give_up_after_secs: float = 60,
        throttle: Callable[[], bool] = _never,
        awaited: threading.Event | None = None,
    ) -> None:
        self._dsn = dsn
        self._sink = sink
        self._use_gtid = use_gtid
        self._server_id = server_id or _SERVER_ID_BASE + secrets.randbelow(2**31 - 1)
        # The server ends a stale dump of the same replica when this one connects again.
        self._replica_uuid = str(uuid.uuid4())
        self._heartbeat_secs = heartbeat_secs
        self._give_up_after_secs = give_up_after_secs
        self._throttle = throttle
        self._awaited = awaited or threading.Event()
        if awaited is None:
            self._awaited.set()
        self._interpreter = Interpreter(start, subscriptions, sink, use_gtid=use_gtid)
        self._lock = threading.Lock()
        self._stream: DumpStream | None = None
        self._waiting: collections.deque[bytes] = collections.deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME)
        self.error: Exception | None = None

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def delivered(self) -> Position:
        """The last position the sink was given."""
        return self._interpreter.delivered

    @property
    def restart_position(self) -> Position:
        """Where a later reader must begin; see Interpreter.restart_position."""
        return self._interpreter.restart_position

    def start(self) -> None:
        """Connect, make sure that the server has the position, and start the thread.

        Raises PositionLostError when the server no longer has what follows the position, and
        TransientError for any other failure. Nothing is left open in either case.
        """
        try:
            self._connect()
        except BaseException:
            self.stop()
            raise
        self._thread.start()

    def stop(self) -> None:
        """End the thread and the connection; returns when both are gone."""
        self._stopping.set()
        self._awaited.set()
        self._hang_up()
        if self._thread.ident is None or self._thread is threading.current_thread():
            return
        self._thread.join(_JOIN_TIMEOUT_SECS)
        if self._thread.is_alive():
            logger.warning(
                "Thread %s has not ended within %.0f s.", THREAD_NAME, _JOIN_TIMEOUT_SECS
            )

    def _hang_up(self) -> None:
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()

    def _connect(self) -> None:
        """Open a stream at the last complete transaction and wait until events flow.

        A position in the middle of an event is only noticed when the server reads from it, so the
        preamble proves nothing; on an idle server the first heartbeat does.
        """
        stream = DumpStream(
            self._dsn,
            server_id=self._server_id,
            replica_uuid=self._replica_uuid,
            heartbeat_secs=self._heartbeat_secs,
        )
        with self._lock:
            self._stream = stream
        if self._stopping.is_set():
            raise ServerLostError("The reader was stopped while it connected.")
        position = self.delivered
        use_gtid = self._use_gtid and not GtidSet.parse(position.gtid_set).has_tags
        first: list[bytes] = []
        try:
            stream.open(position, use_gtid=use_gtid)
            while not first or first[-1][KIND_AT] in _PREAMBLE:
                first.append(stream.read())
        except StreamClosedError as error:
            stream.close()
            raise ServerLostError(
                f"The server at {self._dsn.host}:{self._dsn.port} closed the binary log stream "
                f"again: {error}. Progress was kept."
            ) from error
        except BaseException:
            stream.close()
            raise
        self._interpreter.stream_opened(stream.server, by_gtid=use_gtid and bool(position.gtid_set))
        self._waiting = collections.deque(first)

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._follow()
                except StreamClosedError as closed:
                    # The old connection must not stay open for as long as the new one is sought.
                    self._hang_up()
                    self._reconnect(str(closed))
        except Exception as error:
            if not self._stopping.is_set():
                if not isinstance(error, EngineError):
                    logger.exception("The binary log reader failed.")
                self.error = error
        finally:
            self._hang_up()

    def _follow(self) -> None:
        """Hand on events until told to stop. Raises StreamClosedError when the stream ends."""
        stream = self._stream
        if stream is None:
            raise StreamClosedError("the stream is not open")
        while self._waiting:
            self._interpreter.handle(self._waiting.popleft())
        handle, throttle = self._interpreter.handle, self._throttle
        while not self._stopping.is_set():
            while throttle() and not self._stopping.wait(_THROTTLE_POLL_SECS):
                pass
            for event in stream.read_ready():
                handle(event)
            if stream.is_drained:
                self._awaited.wait(_REST_SECS)

    def _reconnect(self, reason: str) -> None:
        """Connect again, or raise what is definitive, or the last failure after the deadline."""
        if self._stopping.is_set():
            return
        logger.warning("The binary log stream was lost: %s.", reason)
        deadline = time.monotonic() + self._give_up_after_secs
        pause_secs = _FIRST_PAUSE_SECS
        attempt = 0
        while not self._stopping.is_set():
            attempt += 1
            try:
                self._connect()
            except PositionLostError:
                raise
            except TransientError:
                if time.monotonic() > deadline:
                    raise
            else:
                self._sink.stream_reconnected(reason, attempt)
                return
            self._stopping.wait(pause_secs)
            pause_secs = min(pause_secs * 2, _LONGEST_PAUSE_SECS)
