"""Modules that earlier versions pickled whole: their classes are gone, their weights are read all the same."""

import pickle
from typing import Any

from torch import nn

from metta.policy.nets.earlier import CLASSES

ROOM = "metta.policy.nets."


class EarlierNet(nn.Module):
    """A net as an earlier version left it: its state, `info`, `heads` and `settings`."""

    net: str = ""  # name of its class


class Unpickler(pickle.Unpickler):
    """As Python's own, with stand-ins for the classes of nets that are no more."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return super().find_class(module_name, global_name)
        except (ImportError, AttributeError):
            if not module_name.startswith(ROOM):
                raise
            return type(global_name, (EarlierNet,), {"net": CLASSES.get(global_name, "")})


load = pickle.load  # torch asks for it beside the class
