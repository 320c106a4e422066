"""A league's server. It needs the extra `league`; whoever imports a part of this without it is told so in a line."""

from importlib.util import find_spec

from metta.common.errors import MissingExtraError

for library, name in (("authlib", "authlib"), ("fastapi", "fastapi"), ("uvicorn", "uvicorn"), ("jinja2", "jinja2"),
                      ("python_multipart", "python-multipart")):  # fmt: skip
    if find_spec(library) is None:
        raise MissingExtraError(name, "league")
