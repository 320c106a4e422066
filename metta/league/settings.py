"""Typed settings of a league's server and of its workers."""

from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, IPvAnyAddress, PositiveInt, SecretStr, model_validator

from metta.common.errors import UserError
from metta.common.settings import PathText, Settings
from metta.league.client import check_server

MEGABYTE = 1 << 20
UPLOAD_TIME = timedelta(hours=1)  # in which an address to upload to is good
DOWNLOAD_TIME = timedelta(hours=1)
SESSION_TIME = timedelta(days=14)  # of a browser that is signed in
TOKEN_TIME = timedelta(days=365)


class Limits(Settings):
    """How much one account, address or upload may ask for."""

    upload_bytes: PositiveInt = Field(default=500 * MEGABYTE, description="bytes of an upload")
    request_bytes: PositiveInt = Field(default=MEGABYTE >> 2, description="bytes of any other request")
    requests_per_minute: PositiveInt = Field(default=1200, description="requests of one account or address")
    sign_ins_per_minute: PositiveInt = Field(default=20, description="passwords tried from one address")
    uploads_per_day: PositiveInt = Field(default=100, description="uploads of one account")
    bytes_per_user: PositiveInt = Field(default=20_000 * MEGABYTE, description="bytes that one account keeps")
    accounts_per_hour: PositiveInt = Field(default=30, description="accounts made from one address")
    tokens_per_user: PositiveInt = Field(default=50, description="tokens of one account that are in force")


class JobSettings(Settings):
    """How work is handed out and taken back."""

    lease_seconds: PositiveInt = Field(default=60, description="seconds without a heartbeat after which a job is lost")
    attempts: PositiveInt = Field(default=5, description="workers that may try a job before it counts as failed")
    back_off_seconds: PositiveInt = Field(default=2, description="seconds before the second try, doubled for each more")
    most_back_off_seconds: PositiveInt = Field(default=300, description="seconds before a further try at most")


def _issuer(address: str) -> str:
    parts = urlsplit(address)
    near = parts.hostname in ("127.0.0.1", "localhost")
    if not parts.hostname or parts.query or parts.fragment or not (parts.scheme == "https" or near):
        raise ValueError("an issuer is https://HOST, perhaps with a path")
    return address


class ProviderSettings(Settings):
    """A provider of OpenID Connect at which people sign in."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(description="its address, as it calls itself")
    client_id: str = Field(min_length=1, description="as which it knows the league")
    secret: SecretStr | None = Field(default=None, description="of the client; none: it has none")
    name: str = Field(default="", max_length=40, description="on the button; default: the issuer's host")

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or urlsplit(self.issuer).netloc


def _address(address: str) -> str:
    try:
        return check_server(address)
    except UserError:
        raise ValueError("an address is http://HOST:PORT or https://HOST") from None


class LeagueSettings(Settings):
    """What a league's server runs on."""

    data: PathText = Field(default="./league", description="folder of the database and the files")
    database: str | None = Field(default=None, description="address of a database; default: SQLite in the folder")
    files: str | None = Field(default=None, description="folder or s3://bucket/prefix; default: files/ in the folder")
    host: str = Field(default="127.0.0.1", description="address on which the server listens")
    port: int = Field(default=8400, ge=0, le=65535, description="port on which it listens; 0: a free one")
    address: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None, description="address under which others reach it; default: host and port"
    )
    proxy: IPvAnyAddress | None = Field(
        default=None, description="address of a proxy in front, which says who asks (X-Forwarded-For); default: none"
    )
    registration: Literal["open", "provider", "closed"] = Field(
        default="open", description="who may make an account: all, who signs in at the provider, nobody"
    )
    provider: ProviderSettings | None = Field(default=None, description="where people may sign in; default: only here")
    workers: int | None = Field(default=None, ge=0, description="workers on this machine; default: one for each core")
    trust_code: bool = Field(default=False, description="workers here run uploaded code without a sandbox")
    limits: Limits = Limits()
    jobs: JobSettings = JobSettings()

    @model_validator(mode="after")
    def _provider_is_there(self) -> "LeagueSettings":
        if self.registration == "provider" and self.provider is None:
            raise ValueError("registration=provider: of which? --oidc-issuer names it")
        return self
