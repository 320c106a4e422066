"""A server with a bounded number of connections: who connects and asks nothing makes room for those who ask."""

import socket
import sys
import threading
from contextlib import suppress
from http.server import ThreadingHTTPServer
from typing import Any

MOST_CONNECTIONS = 32
PATIENCE = 1.0  # seconds that one waits for the room that another leaves
HASTE = 0.05  # seconds for who is refused
MOST_UNREAD = 1 << 16  # bytes
REFUSAL = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class BoundedServer(ThreadingHTTPServer):
    """At most MOST_CONNECTIONS at once, each with a thread. A new one takes the place of the oldest that has not asked
    yet; where all have, it is refused at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[Any]) -> None:
        self._slots = threading.Semaphore(MOST_CONNECTIONS)
        self._silent: dict[socket.socket, None] = {}  # have not asked yet, the oldest first
        self._lock = threading.Lock()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._take_slot():
            with suppress(OSError):
                request.settimeout(HASTE)
                request.sendall(REFUSAL)
                request.shutdown(socket.SHUT_WR)
                request.recv(MOST_UNREAD)  # what is closed unread is reset, and the answer lost with it
            self.shutdown_request(request)
            return
        with self._lock:
            self._silent[request] = None
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def heard(self, request: Any) -> None:
        """A whole request has come over the connection: it keeps its place until it is answered."""
        with self._lock:
            self._silent.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away, or takes nothing any more, is no error."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def _take_slot(self) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        with self._lock:
            oldest = next(iter(self._silent), None)
            if oldest is None:
                return False
            del self._silent[oldest]
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # its thread wakes, and ends
        return self._slots.acquire(timeout=PATIENCE)

    def _leave(self, request: Any) -> None:
        with self._lock:
            self._silent.pop(request, None)
        self._slots.release()
