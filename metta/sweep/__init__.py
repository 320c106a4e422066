"""Sweeps need the extra `sweep`; whoever imports a part of this without it is told so in a line."""

from importlib.util import find_spec

from metta.common.errors import MissingExtraError

for library in ("optuna", "psycopg"):
    if find_spec(library) is None:
        raise MissingExtraError(library, "sweep")
