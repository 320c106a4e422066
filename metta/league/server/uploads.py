"""Routes by which policies come in: an address to upload to, the upload itself, and what it becomes."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field, SecretStr

from metta.league.accounts import Caller
from metta.league.bundles import check_bundle
from metta.league.files import Folder
from metta.league.league import League
from metta.league.names import check_policy_name, check_secrets
from metta.league.problems import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    MissingError,
    RefusedError,
    TooLongError,
)
from metta.league.server.answers import Uploaded, UploadPlace, VersionInfo, Versions
from metta.league.server.asking import AnyCaller, AskedRoute, SignedIn, TheLeague, audit, own_address
from metta.league.settings import DOWNLOAD_TIME, UPLOAD_TIME
from metta.league.store import policies, seasons
from metta.league.store.schema import Id, Upload, Version, now
from metta.league.work import Bundle

router = APIRouter(tags=["policies"], route_class=AskedRoute)
MOST = 1 << 31  # of a page's number


class Completion(BaseModel):
    upload_id: Id
    name: str = Field(max_length=1000)
    season: str | None = Field(default=None, max_length=200, description="season to enter, if any")
    policy_secret_env: dict[str, SecretStr] | None = Field(
        default=None, description="values of the environment of the policy's process alone: at most 10"
    )


@router.post("/stats/policies/submit/presigned-url")
def begin(request: Request, league: TheLeague, caller: SignedIn) -> UploadPlace:
    """An address to upload a bundle to."""
    limit = league.settings.limits.upload_bytes
    with league.database.transaction() as session:
        upload = policies.begin_upload(session, caller.user, league.settings.limits)
    key = f"uploads/{upload.id}"
    place = league.files.address("PUT", key, UPLOAD_TIME, limit)
    return UploadPlace(
        upload_url=place if "://" in place else own_address(request, league) + place,
        s3_key=key,
        upload_id=upload.id,
        expires_in=int(UPLOAD_TIME.total_seconds()),
    )


@router.post("/stats/policies/submit/complete")
def complete(request: Request, league: TheLeague, caller: SignedIn, completion: Completion) -> Uploaded:
    """Make a version of what was uploaded. The same content under the same name, with the same secret values, is the
    same version; the values are never shown."""
    name = check_policy_name(completion.name)
    told = {key: value.get_secret_value() for key, value in (completion.policy_secret_env or {}).items()}
    check_secrets(told)
    with league.database.reading() as session:
        upload = policies.own_upload(session, caller.user, completion.upload_id)
        season = seasons.find_season(session, completion.season) if completion.season else None
        if upload.version_id:
            return _uploaded(policies.get_version(session, upload.version_id))
    if upload.expires_at <= now():
        raise BadRequestError(f"upload {upload.id}: its time is over, begin anew")
    version = keep_bundle(league, caller, upload, name, told)
    answer = _uploaded(version)
    with league.database.transaction() as session:
        audit(session, request, caller.user, "upload", f"{policies.label(version)} {version.sha256}")
        if season is not None:
            try:
                entered = seasons.enter(session, caller, seasons.find_season(session, season.name), version)
                answer.pools, answer.retired = entered.pools, entered.retired
            except RefusedError as error:
                answer.submit_error = str(error)
    return answer


def keep_bundle(league: League, caller: Caller, upload: Upload, name: str, told: Mapping[str, str] = {}) -> Version:
    """The version that an uploaded file becomes. Raises UserError for a bad one, which is removed.

    What is kept is what was looked at: whoever uploads may still put something else there."""
    key, limit = f"uploads/{upload.id}", league.settings.limits.upload_bytes
    size = league.files.size(key)
    if size is None:
        raise BadRequestError(f"upload {upload.id}: nothing was uploaded")
    if size > limit:
        league.files.remove(key)
        raise TooLongError(f"upload {upload.id}: {size:,} bytes; {limit:,} are allowed")
    with league.checking:
        try:
            data = league.files.read(key)
        except FileNotFoundError:
            raise ConflictError(f"upload {upload.id}: is being completed by another request") from None
        try:
            check_bundle(data)
        except Exception:
            league.files.remove(key)
            raise
        content, size = sha256(data).hexdigest(), len(data)
        league.files.write(f"bundles/{content}", data)
    league.files.remove(key)
    secrets = league.vault.keep(told)
    with league.database.transaction() as session:
        version, _ = policies.add_version(session, caller.user, name, content, size, secrets)
        session.get_one(Upload, upload.id).version_id = version.id
    return version


@router.get("/stats/policy-versions")
def list_versions(
    league: TheLeague,
    caller: SignedIn,
    mine: bool = True,
    name_exact: Annotated[str | None, Query(max_length=200)] = None,
    version: Annotated[int | None, Query(ge=0, lt=MOST)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    offset: Annotated[int, Query(ge=0, lt=MOST)] = 0,
) -> Versions:
    """Versions of policies, newest first: one's own, or everybody's."""
    with league.database.reading() as session:
        found = policies.list_versions(session, caller.user if mine else None, name_exact, version, limit, offset)
        return Versions(entries=[VersionInfo.of(one, policies.owns(caller, one)) for one in found])


@router.get("/stats/policy-versions/{version_id}")
def show_version(league: TheLeague, caller: AnyCaller, version_id: Id) -> VersionInfo:
    """A version of a policy; why it was refused is told to its owner."""
    with league.database.reading() as session:
        version = policies.get_version(session, version_id)
        return VersionInfo.of(version, policies.owns(caller, version))


@router.put("/files/{kind}/{name}", tags=["files"])
async def put_file(
    request: Request,
    league: TheLeague,
    kind: Literal["uploads", "replays"],
    name: str,
    ends: int,
    most: int,
    signature: Annotated[str, Query(max_length=100)],
) -> dict[str, str]:
    """Take in a file at an address that was given out, until it has been made use of."""
    key = f"{kind}/{name}"
    folder = _signed(league, "PUT", key, ends, most, signature)
    if kind == "uploads":
        await run_in_threadpool(_check_open, league, Id(name))
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise TooLongError(f"{int(length):,} bytes; {most:,} are allowed")
    await folder.receive(key, request.stream(), most)
    if kind == "uploads":
        await run_in_threadpool(_check_open, league, Id(name), folder)
    return {"key": key}


@router.get("/files/{kind}/{name}", tags=["files"], response_class=FileResponse)
def get_file(
    league: TheLeague,
    kind: Literal["bundles", "replays", "results"],
    name: str,
    ends: int,
    most: int,
    signature: Annotated[str, Query(max_length=100)],
) -> Response:
    """A file, at an address that was given out."""
    key = f"{kind}/{name}"
    folder = _signed(league, "GET", key, ends, most, signature)
    path: Path = folder.path(key)
    if not path.is_file():
        raise MissingError("there is no such file")
    return FileResponse(path, media_type="application/octet-stream", filename=name)


def bundle_of(league: League, version: Version) -> Bundle:
    """A version to download, for whoever may."""
    url = league.files.address("GET", f"bundles/{version.sha256}", DOWNLOAD_TIME)
    return Bundle(name=policies.label(version), sha256=version.sha256, url=url)


def _signed(league: League, method: str, key: str, ends: int, most: int, signature: str) -> Folder:
    folder = league.files
    if not isinstance(folder, Folder) or not folder.allows(method, key, ends, most, signature):
        raise ForbiddenError("the address was not given out, or its time is over")
    return folder


def _check_open(league: League, upload_id: Id, folder: Folder | None = None) -> None:
    """Raises ConflictError for an upload that has become a version; what came into `folder` meanwhile is removed."""
    with league.database.reading() as session:
        upload = session.get(Upload, upload_id)
    if upload is None or upload.version_id is not None:
        if folder is not None:
            folder.remove(f"uploads/{upload_id}")
        raise ConflictError("what was uploaded there has become a version; begin anew")


def _uploaded(version: Version) -> Uploaded:
    return Uploaded(id=version.id, name=version.policy.name, version=version.number, status=version.status)
