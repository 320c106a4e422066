"""Uploads, and the versions of policies that come of them. Whose they are is checked here alone."""

from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metta.common.errors import UserError
from metta.league.accounts import Caller
from metta.league.problems import ForbiddenError, MissingError, TooManyError
from metta.league.settings import UPLOAD_TIME, Limits
from metta.league.store import jobs
from metta.league.store.schema import Id, Policy, Upload, User, Version, now


def begin_upload(session: Session, user: User, limits: Limits) -> Upload:
    """An upload to be filled. Raises TooManyError beyond what an account may upload."""
    lock_user(session, user.id)
    day = now() - timedelta(days=1)
    count = session.scalar(select(func.count(Upload.id)).where(Upload.user_id == user.id, Upload.created_at > day))
    if (count or 0) >= limits.uploads_per_day:
        raise TooManyError(f"{limits.uploads_per_day} uploads a day are all that one account may make", wait=3600)
    kept = session.scalar(select(func.sum(Version.size)).join(Policy).where(Policy.user_id == user.id)) or 0
    begun = select(func.count(Upload.id)).where(Upload.user_id == user.id, Upload.version_id.is_(None))
    kept += (session.scalar(begun) or 0) * limits.upload_bytes  # each may be filled until it is swept
    if kept >= limits.bytes_per_user:
        problem = f"your versions, and uploads that are not completed, take {kept:,} bytes"
        raise TooManyError(f"{problem}; one account may keep {limits.bytes_per_user:,}", 3600)
    upload = Upload(user_id=user.id, expires_at=now() + UPLOAD_TIME)
    session.add(upload)
    session.flush()
    return upload


def lock_user(session: Session, user_id: Id) -> None:
    """Let nothing else be counted for a user until the transaction ends."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update())


def forgotten_uploads(session: Session, limit: int = 100) -> list[Upload]:
    """Uploads that were never completed, some time after their address has ceased to be good."""
    old = Upload.version_id.is_(None), Upload.expires_at < now() - UPLOAD_TIME
    return list(session.scalars(select(Upload).where(*old).limit(limit)))


def own_upload(session: Session, user: User, upload_id: Id) -> Upload:
    """An upload of a user's. Raises MissingError for any other."""
    upload = session.get(Upload, upload_id)
    if upload is None or upload.user_id != user.id:
        raise MissingError(f"upload {upload_id}: there is none such")
    return upload


def add_version(
    session: Session, user: User, name: str, sha256: str, size: int, secrets: str = ""
) -> tuple[Version, bool]:
    """The version of a policy that has this content and these secret values (their digest), and whether it is new: then
    it is to be validated."""
    lock_user(session, user.id)
    policy = session.scalar(select(Policy).where(Policy.user_id == user.id, Policy.name == name))
    if policy is None:
        policy = Policy(user_id=user.id, name=name, user=user)
        session.add(policy)
        session.flush()
    same = Version.policy_id == policy.id, Version.sha256 == sha256, Version.secrets == secrets
    found = session.scalar(select(Version).where(*same))
    if found is not None:
        return found, False
    last = session.scalar(select(func.max(Version.number)).where(Version.policy_id == policy.id))
    number = (last or 0) + 1
    version = Version(policy_id=policy.id, number=number, sha256=sha256, size=size, secrets=secrets, policy=policy)
    session.add(version)
    session.flush()
    jobs.add_job(session, jobs.VALIDATE, version.id)
    return version, True


def get_version(session: Session, version_id: Id) -> Version:
    """Any version. Raises MissingError."""
    version = session.get(Version, version_id)
    if version is None:
        raise MissingError(f"policy version {version_id}: there is none such")
    return version


def own_version(session: Session, caller: Caller, version_id: Id) -> Version:
    """A version that the caller may dispose of: its own, for an admin any. Raises MissingError, ForbiddenError."""
    version = get_version(session, version_id)
    if not owns(caller, version):
        raise ForbiddenError(f"policy {label(version)}: belongs to another account")
    return version


def owns(caller: Caller | None, version: Version) -> bool:
    """Whether somebody may see what only its owner sees of a version."""
    return caller is not None and (version.policy.user_id == caller.user.id or caller.is_admin)


def label(version: Version) -> str:
    """NAME:vN"""
    return f"{version.policy.name}:v{version.number}"


def list_versions(
    session: Session,
    user: User | None = None,
    name: str | None = None,
    number: int | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Version]:
    """Versions, newest first: of one user, of one name, of one number."""
    query = select(Version).join(Policy)
    if user is not None:
        query = query.where(Policy.user_id == user.id)
    if name is not None:
        query = query.where(Policy.name == name)
    if number is not None:
        query = query.where(Version.number == number)
    return list(
        session.scalars(
            query.order_by(Version.created_at.desc(), Version.number.desc(), Version.id).limit(limit).offset(offset)
        )
    )


def judge(session: Session, version_id: Id, reason: str | None, digest: str | None, kind: str) -> Version:
    """What came of a validation: valid, or refused for a reason."""
    version = get_version(session, version_id)
    if version.status != "validating":
        return version
    if reason is None and digest is None:
        raise UserError(f"policy version {version_id}: valid without a digest")
    version.status = "valid" if reason is None else "refused"
    version.reason, version.digest, version.kind = reason, digest, kind
    return version
