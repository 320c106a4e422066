"""What a policy is told in secret: values of its environment, given with an upload, for its own process alone.

They are kept encrypted among the files, under a digest that a version knows; the key lies in the database. Whoever has
only one of the two has nothing.
"""

import hmac
import json
import logging
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from metta.league.files import Files
from metta.league.names import check_secrets

LOG = logging.getLogger("uvicorn.error")


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
