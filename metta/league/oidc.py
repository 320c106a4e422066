"""Signing in at a provider of OpenID Connect: where a browser is led, and whom what it brings back is about.

What is to be remembered until then (state, nonce, PKCE verifier) goes with the browser, signed.
"""

import hmac
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client import BaseApp, OAuth2Mixin, OAuthError, OpenIDMixin
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from requests import RequestException

from metta.league.accounts import Identity
from metta.league.problems import BadRequestError, ForbiddenError, UnavailableError
from metta.league.settings import ProviderSettings

SECONDS = 10  # for an answer of the provider
LEEWAY = 60  # seconds by which clocks may differ
PATIENCE = 600  # seconds that a person has to sign in there
SIGNED = "HS256"
MOST_SUBJECT = 255  # characters (OpenID Connect Core 1.0, section 2)


class _Client(OAuth2Mixin, OpenIDMixin, BaseApp):
    client_cls = OAuth2Session


class Provider:
    """The provider of a league. `key`, which all its servers share, signs what browsers remember."""

    def __init__(self, settings: ProviderSettings, key: bytes) -> None:
        self.name, self._issuer, self._key = settings.label, settings.issuer, OctKey.import_key(key)
        secret = settings.secret.get_secret_value() if settings.secret else None
        method = "client_secret_basic" if secret else "none"
        self._client = _Client(
            None, client_id=settings.client_id, client_secret=secret,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile email", "code_challenge_method": "S256", "default_timeout": SECONDS,
                "token_endpoint_auth_method": method,
            },
        )  # fmt: skip

    def begin(self, call_back: str, next: str) -> tuple[str, str]:
        """Where a browser is to go, and what it is to remember until it comes to `call_back`. Raises UnavailableError,
        ForbiddenError where the provider is not what it should be."""
        with self._asking():
            self._check_issuer(self._client.load_server_metadata().get("issuer"))
            made = self._client.create_authorization_url(call_back)
        address = made.pop("url")
        kept = {**made, "next": next, "exp": int(time.time()) + PATIENCE}
        return address, jwt.encode({"alg": SIGNED}, kept, self._key)

    def finish(self, call_back: str, answer: Mapping[str, str], kept: str | None) -> tuple[Identity, str]:
        """Who has signed in, from the query of the call-back and what the browser remembers, and where to go next.

        Raises BadRequestError for an answer to a question that this browser did not ask, ForbiddenError for one that
        the provider did not give to us, UnavailableError where it does not answer."""
        asked = self._remembered(kept)
        if not hmac.compare_digest(answer.get("state", "").encode(), str(asked["state"]).encode()):
            raise BadRequestError("the sign-in was begun elsewhere: begin anew")
        if problem := answer.get("error"):
            raise ForbiddenError(f"{self.name} did not sign you in: {problem[:100]}")
        with self._asking():
            self._check_issuer(answer.get("iss", self._issuer))  # RFC 9207
            token = self._client.fetch_access_token(
                redirect_uri=call_back, code=answer.get("code", ""), code_verifier=asked["code_verifier"]
            )
            wanted = {
                "iss": {"essential": True, "value": self._issuer},
                "aud": {"essential": True, "value": self._client.client_id},
            }
            claims = self._client.parse_id_token(token, asked["nonce"], claims_options=wanted, leeway=LEEWAY)
        return self._identity(claims or {}), str(asked["next"])

    def _remembered(self, kept: str | None) -> dict[str, Any]:
        try:
            asked = jwt.decode(kept or "", self._key, algorithms=[SIGNED]).claims
        except (JoseError, ValueError):
            raise BadRequestError("the sign-in was begun elsewhere: begin anew") from None
        if asked["exp"] < time.time():
            raise BadRequestError("the sign-in took too long: begin anew")
        return asked

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= MOST_SUBJECT:
            raise ForbiddenError(f"{self.name} does not say who you are")
        email = claims.get("email") if claims.get("email_verified") is True else None
        email = email if isinstance(email, str) and email.isprintable() and len(email) <= MOST_SUBJECT else None
        name = next((text for key in ("preferred_username", "nickname", "name", "email")
                     if isinstance(text := claims.get(key), str) and text), "")  # fmt: skip
        return Identity(self._issuer, subject, name.partition("@")[0], email)

    def _check_issuer(self, said: object) -> None:
        if said != self._issuer:
            raise ForbiddenError(f"{self.name}: says that it is another than {self._issuer}")

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """What goes wrong with the provider, in one line."""
        try:
            yield
        except RequestException as error:
            raise UnavailableError(f"{self.name} does not answer ({type(error).__name__}); try again later") from None
        except OAuthError as error:
            raise ForbiddenError(f"{self.name} did not sign you in: {error.error}") from None
        except (AuthlibBaseError, JoseError, RuntimeError, LookupError, TypeError, ValueError) as error:
            raise ForbiddenError(f"{self.name}: its answer is not good ({str(error)[:200]})") from None
