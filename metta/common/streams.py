"""What is printed, where the reader may go, the device may be full and the encoding may lack characters."""

import io
import os
import sys
from typing import Any

from metta.common.errors import UserError


class ReaderGoneError(Exception):
    """Whoever read what is printed, such as head, has seen enough. No BrokenPipeError, at which rich ends the process
    as failed."""


class _Output(io.FileIO):
    """A stream of the process. What cannot be written is lost, with all that comes after it."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._name = name
        self.needed = True  # printing is what the process is for

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())  # for other libraries, processes and the end of this one
            os.close(null)
            self._lose(error)
            return memoryview(data).nbytes

    def _lose(self, error: OSError) -> None:
        if self.needed and isinstance(error, BrokenPipeError):
            raise ReaderGoneError from None
        if self.needed:
            raise UserError(f"{self._name}: cannot be written to ({error.strerror})") from None
        if self._name != "standard error":
            print(f"warning: {self._name}: {error.strerror}; going on without it", file=sys.stderr, flush=True)


def steady() -> None:
    """Have this process print what it can: `?` for what the encoding lacks, nothing where no stream is open.

    A stream that cannot be written to raises ReaderGoneError where its reader has gone, else UserError.
    """
    for name, title in (("stdout", "standard output"), ("stderr", "standard error")):
        stream = getattr(sys, name)
        if stream is None:
            null = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, io.TextIOWrapper(io.BufferedWriter(io.FileIO(null, "w", closefd=False))))
        elif _raw(stream) is not None and not isinstance(_raw(stream), _Output):
            setattr(sys, name, _steady(stream, title))


def go_on_unheard() -> None:
    """From here on nothing that cannot be printed stops this process, whose work is not what it prints."""
    steady()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(raw := _raw(stream), _Output):
            raw.needed = False


def _raw(stream: object) -> io.FileIO | None:
    """What writes to the file that a stream of the interpreter's own making stands for."""
    if type(stream) is not io.TextIOWrapper:
        return None
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return raw if isinstance(raw, io.FileIO) else None


def _steady(stream: io.TextIOWrapper, title: str) -> io.TextIOWrapper:
    stream.flush()
    output = _Output(stream.fileno(), title)
    return io.TextIOWrapper(
        output if isinstance(stream.buffer, io.FileIO) else io.BufferedWriter(output),  # -u: without a buffer
        encoding=stream.encoding,
        errors="replace" if stream.errors in ("strict", "surrogateescape") else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
