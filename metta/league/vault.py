"""What a policy is told in secret: values of its environment, given with an upload, for its own process alone.

They are kept encrypted among the files, under a digest that a version knows; the key lies in the database. Whoever has
only one of the two has nothing.
"""

import hmac
import json
import logging
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from metta.league.files import Files
from metta.league.problems import BadRequestError

LOG = logging.getLogger("uvicorn.error")
MOST, LONGEST = 10, 2_000  # values of a version, characters of each
NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def check_secrets(values: Mapping[str, str]) -> None:
    """Raises BadRequestError for what is no environment, in words without the values."""
    if len(values) > MOST:
        raise BadRequestError(f"{len(values)} secret values; a version has at most {MOST}")
    for name, value in values.items():
        if not NAMES.fullmatch(name):
            raise BadRequestError("secret values: names have at most 64 letters, digits and _, and begin with no digit")
        if len(value) > LONGEST or "\0" in value:
            raise BadRequestError(f"secret value {name}: at most {LONGEST:,} characters, none of them NUL")


class Vault:
    """The secret values of a league's versions."""

    def __init__(self, files: Files, key: bytes) -> None:
        """`key`: 32 bytes that all servers of the league share."""
        self._files, self._key, self._lock = files, key, Fernet(urlsafe_b64encode(key))

    def keep(self, values: Mapping[str, str]) -> str:
        """The digest under which values are found; empty for none. Raises BadRequestError as `check_secrets`."""
        if not values:
            return ""
        check_secrets(values)
        text = json.dumps(values, sort_keys=True).encode()
        digest = hmac.new(self._key, text, sha256).hexdigest()
        self._files.write(f"secrets/{digest}", self._lock.encrypt(text))
        return digest

    def values(self, digest: str) -> dict[str, str]:
        """The values of a digest; none, with a warning, where they are lost."""
        if not digest:
            return {}
        try:
            return json.loads(self._lock.decrypt(self._files.read(f"secrets/{digest}")))
        except (FileNotFoundError, InvalidToken) as error:
            LOG.warning("secret values %s: %s", digest[:12], type(error).__name__)
            return {}
