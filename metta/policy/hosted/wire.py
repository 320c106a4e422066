"""Messages between a process and one that it does not trust: JSON text and raw bytes, never a pickle."""

import json
import socket
import struct
import time
from contextlib import suppress
from typing import Any

HEAD = struct.Struct("!II")  # bytes of the text, bytes of the payload
MOST_TEXT = 1 << 20


class LateError(Exception):
    """Nothing whole has come within the time; it may still come."""


class GoneError(Exception):
    """The other side is gone, or sends what is no message."""


class Wire:
    """One end of a connected socket."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._come = bytearray()
        # The last texts, as most are as the one before.
        self._sent: tuple[dict[str, Any], bytes] = ({}, b"{}")
        self._received: tuple[bytes, dict[str, Any]] = (b"{}", {})

    def send(self, text: dict[str, Any], payload: bytes = b"", seconds: float | None = None) -> None:
        """Raise GoneError if it cannot be delivered; within a time it must be, as half a message is none."""
        if text != self._sent[0]:
            self._sent = text, json.dumps(text).encode()
        data = self._sent[1]
        self._end.settimeout(seconds)
        try:
            self._end.sendall(b"".join((HEAD.pack(len(data), len(payload)), data, payload)))
        except OSError as error:
            raise GoneError(str(error)) from None

    def receive(self, deadline: float | None = None, most: int = 1 << 32) -> tuple[dict[str, Any], bytearray]:
        """The next message, its payload of at most `most` bytes. `deadline` is of time.monotonic.

        Raise LateError, after which the message can be asked for again, or GoneError.
        """
        self._fill(HEAD.size, deadline)
        text, payload = HEAD.unpack_from(self._come)
        if text > MOST_TEXT or payload > most:
            raise GoneError("it sends what is no message")
        self._fill(HEAD.size + text + payload, deadline)
        end = HEAD.size + text + payload
        message, self._come = self._come[:end], self._come[end:]
        return self._read(bytes(message[HEAD.size : HEAD.size + text])), message[HEAD.size + text :]

    def has_more(self) -> bool:
        """Has anything come that was not asked for? Raise GoneError if nothing will come any more."""
        with suppress(LateError):
            self._fill(1, time.monotonic())
        return bool(self._come)

    def _read(self, data: bytes) -> dict[str, Any]:
        """A text that has come. Raise GoneError for what is none."""
        if data != self._received[0]:
            try:
                content = json.loads(data)
            except (ValueError, RecursionError):
                content = None
            if not isinstance(content, dict):
                raise GoneError("it sends what is no message")
            self._received = data, content
        return self._received[1]

    def _fill(self, wanted: int, deadline: float | None) -> None:
        """Read until that many bytes have come; what lies ready is taken even when it is too late."""
        while len(self._come) < wanted:
            self._end.settimeout(None if deadline is None else max(0.0, deadline - time.monotonic()))
            try:
                piece = self._end.recv(max(wanted - len(self._come), 1 << 16))
            except (TimeoutError, BlockingIOError):
                raise LateError from None
            except OSError as error:
                raise GoneError(str(error)) from None
            if not piece:
                raise GoneError("")
            self._come += piece
