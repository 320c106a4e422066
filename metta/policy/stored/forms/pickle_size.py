"""What a pickle would take when it is read, told from its operations without running them: a few bytes may ask for
memory again and again."""

import io
from pickle import UnpicklingError
from pickletools import genops

MOST_REPEATED = 1 << 20  # characters of text that is used again, whatever the size of the pickle
MOST_RATIO = 10  # beyond that: such characters to bytes of the pickle
PICKLES = 5  # in a torch file that is no zip: three of its form, what was saved, the names of its storages


def check_pickle(data: bytes) -> None:
    """Raise UnpicklingError for a pickle that asks for memory without holding it: empty bytearrays of any size, or
    one long text, which functions such as `_codecs.encode` copy, used over and over."""
    _check(io.BytesIO(data))


def check_pickles(data: bytes) -> None:
    """As `check_pickle`, for the pickles at the start of a torch file that is no zip."""
    file = io.BytesIO(data)
    for _ in range(PICKLES):
        if file.tell() < len(data):
            _check(file)


def _check(file: io.BytesIO) -> None:
    texts: dict[int, int] = {}  # characters by place in the memo
    text: str | None = None
    repeated, most = 0, max(MOST_REPEATED, MOST_RATIO * file.getbuffer().nbytes)
    for operation, argument, _ in genops(file):
        name = operation.name
        if name == "GLOBAL" and str(argument).split()[1] == "bytearray":
            raise UnpicklingError("Unsupported bytearray, of whatever size.")
        if name.endswith("PUT") and isinstance(argument, int):
            texts[argument] = len(text or "")
        elif name.endswith("GET") and isinstance(argument, int):
            repeated += texts.get(argument, 0)
            if repeated > most:
                raise UnpicklingError("Unsupported text, used over and over.")
        text = argument if isinstance(argument, str) and "UNICODE" in name else None
