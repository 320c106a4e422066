"""A provider of OpenID Connect on loopback: code flow with PKCE (S256), client secrets, tokens signed by RS256."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT, SECRET = "league", "s3cret of the league"


@dataclass
class Provider:
    """What it says of whoever comes, and how it goes wrong."""

    issuer: str = ""
    person: dict[str, Any] = field(default_factory=lambda: {"sub": "1234", "preferred_username": "anna"})
    claims: dict[str, Any] = field(default_factory=dict)  # in place of the right ones; None: left out
    denies: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig"}))
    signs_with: RSAKey | OctKey | None = None  # in place of the key
    unsigned: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {
            "issuer": self.issuer, **{name: f"{self.issuer}/{path}" for name, path in places.items()},
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser of somebody who has signed in is led."""
        assert query["client_id"] == CLIENT and query["response_type"] == "code" and "openid" in query["scope"]
        assert query["code_challenge_method"] == "S256" and query["nonce"] and query["state"]
        answer = {"error": self.denies} if self.denies else {"code": secrets.token_urlsafe()}
        self.codes |= {answer["code"]: query} if "code" in answer else {}
        return f"{query['redirect_uri']}?{urlencode({**answer, 'state': query['state'], 'iss': self.issuer})}"

    def token(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Tokens for a code, once; None where the client is not who it says."""
        name, _, word = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        asked = self.codes.pop(form["code"], None)
        if asked is None or (unquote(name), unquote(word)) != (CLIENT, SECRET):
            return None
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        if form["redirect_uri"] != asked["redirect_uri"] or challenge != asked["code_challenge"]:
            return None
        now = int(time.time())
        right = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims = {key: value for key, value in {**right, **self.person, **self.claims}.items() if value is not None}
        return {"access_token": "none", "token_type": "Bearer", "id_token": self._signed(claims)}

    def _signed(self, claims: dict[str, Any]) -> str:
        if self.unsigned:
            parts = ({"alg": "none"}, claims)
            return (
                ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
                + "."
            )
        key = self.signs_with or self.key
        return jwt.encode({"alg": "HS256" if isinstance(key, OctKey) else "RS256", "kid": "1"}, claims, key)


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(asked.query).items()}
        if asked.path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(query))
            return self.end_headers()
        keys = {"keys": [self.provider.key.as_dict(private=False)]}
        return self._answer(200, keys if asked.path == "/keys" else self.provider.document())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        tokens = self.provider.token(form, self.headers["Authorization"])
        return self._answer(400, {"error": "invalid_grant"}) if tokens is None else self._answer(200, tokens)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving() -> Iterator[Provider]:
    """A provider, until it is left."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield provider
        server.shutdown()
