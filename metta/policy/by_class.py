"""Policies of a user's own: `class=module.Class[,kw.name=value,…]`, constructed as `Class(info, name="value", …)`.

The class plays as `metta.policy.interface.Policy` says. Naming it imports its module, from the working folder too, so
only a person may name one: settings from files are refused (metta.config.composition).
"""

import os
import sys
from importlib import import_module

from metta.common.errors import UserError
from metta.policy.interface import Info, Policy

CLASS = "class="
KEYWORD = "kw."


def is_class(uri: str) -> bool:
    """Does `uri` name a class to import? Our own are known without it."""
    name = uri.removeprefix(CLASS).partition(",")[0]
    return uri.startswith(CLASS) and "." in name and not name.startswith("metta.")


def split_class(uri: str) -> tuple[str, dict[str, str]]:
    """The dotted name and the keyword arguments, as text. Raise UserError for a part of another form."""
    name, *parts = uri.removeprefix(CLASS).split(",")
    words = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not (key.startswith(KEYWORD) and equals and value):
            raise UserError(f"{uri}: '{part}' is not of the form kw.name=value")
        words[key.removeprefix(KEYWORD)] = value
    return name, words


def make_class_policy(uri: str, info: Info) -> Policy:
    """The policy of a user's class. Raise UserError where there is none such or where it fails, with its error."""
    name, words = split_class(uri)
    module, _, attribute = name.rpartition(".")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found = getattr(import_module(module), attribute, None)
    except Exception as error:  # whatever the user's module raises
        raise UserError(f"{uri}: cannot import {module} ({type(error).__name__}: {error})") from error
    if not isinstance(found, type):
        raise UserError(f"{uri}: {module} has no class {attribute}")
    missing = [method for method in ("reset", "step", "end_episodes") if not callable(getattr(found, method, None))]
    if missing:
        raise UserError(f"{uri}: {attribute} is no policy, it has no {', '.join(missing)}")
    try:
        return found(info, **words)
    except Exception as error:
        raise UserError(f"{uri}: {attribute} cannot be built ({type(error).__name__}: {error})") from error
