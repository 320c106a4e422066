"""Files that torch.save wrote: a pickle, and thus a program. It runs only where the user trusts it; without that, it
makes tensors, plain containers, and numpy's numbers and arrays of them."""

import io
import re
import warnings
from typing import Any

import torch
from torch.serialization import safe_globals

from metta.common.errors import UserError
from metta.policy.stored.forms import earlier_pickle
from metta.policy.stored.forms.numpy_data import numpy_globals
from metta.policy.stored.forms.pickle_size import check_pickle, check_pickles
from metta.policy.stored.sources.archive import MAGIC, Archive

INNER = re.compile(r"\[enforce fail at [^]]*\][ .]*")  # of torch's messages: where in its own code


def load_torch(data: bytes, origin: str, trust_pickle: bool) -> Any:
    """What a torch file holds. Raise UserError for one that is broken, or that would run code without being trusted."""
    archive = Archive(data, origin) if data[:4] == MAGIC else None  # refuses bombs before torch unpacks them
    if archive and not any(map(_is_pickle, archive.names())):
        held = ", ".join(sorted(archive.names())[:3])
        raise UserError(f"{origin}: a zip of no policy, with neither policy_spec.json nor weights; it holds {held}")
    try:
        if not trust_pickle:
            _check_size(data, archive)
        with warnings.catch_warnings(), safe_globals(numpy_globals(len(data))):
            warnings.simplefilter("ignore")
            pickler = earlier_pickle if trust_pickle else None
            return torch.load(io.BytesIO(data), "cpu", pickler, weights_only=not trust_pickle)
    except Exception as error:  # torch raises whatever the content provokes
        reason = " ".join(INNER.sub("", str(error)).split())
        if not trust_pickle and ("weights_only" in reason.lower() or reason.startswith("Unsupported ")):
            raise UserError(
                f"{origin}: holds more than weights ({_wanted(reason)}) and would run code when opened; "
                "trust_pickle=true (cogames: --trust-pickle) allows that, for files of your own"
            ) from None
        raise UserError(f"{origin}: cannot be read as a torch file ({reason[:200] or type(error).__name__})") from None


def _check_size(data: bytes, archive: Archive | None) -> None:
    if archive is None:
        return check_pickles(data)
    for name in archive.names():
        if _is_pickle(name):
            check_pickle(archive.read(name))


def _is_pickle(name: str) -> bool:
    return name.lower().endswith("data.pkl")  # in whichever folder, and torch takes it in capitals


def _wanted(reason: str) -> str:
    """What the file asks for, from torch's long explanation."""
    start = reason.find("Unsupported")
    start = reason.find("GLOBAL") if start < 0 else start
    return reason[start:].split(" was not")[0].split(". ")[0][:120] if start >= 0 else "a pickle beyond tensors"
