"""A league's database. It needs the extra `league`; whoever imports a part of this without it is told so in a line."""

from importlib.util import find_spec

from metta.common.errors import MissingExtraError

for library in ("sqlalchemy", "alembic", "argon2"):
    if find_spec(library) is None:
        raise MissingExtraError(library, "league")
