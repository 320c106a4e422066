"""A league's server. It needs the extra `league`; whoever imports a part of this without it is told so in a line."""

from importlib.util import find_spec

from metta.common.errors import MissingExtraError

for library in ("authlib", "cryptography", "fastapi", "uvicorn", "jinja2", "python_multipart"):
    if find_spec(library) is None:
        raise MissingExtraError(library.replace("_", "-"), "league")
