"""Accounts and tokens: passwords under argon2, tokens kept as hashes, with a scope, an end and a way to take back."""

import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from itertools import count
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from metta.common.errors import UserError, suggest
from metta.league.names import NAME
from metta.league.problems import ForbiddenError
from metta.league.settings import SESSION_TIME, TOKEN_TIME
from metta.league.store.schema import Id, ProviderUser, Token, User, now

Scope = Literal["user", "worker", "admin", "browser"]
PREFIX = "cogames_"  # by which scanners for leaked secrets find a token
NAMES = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
FOREIGN = re.compile(r"[^A-Za-z0-9._-]+")  # what no name holds
MACHINE = "workers"  # the account of the workers that a server starts
SHORTEST, LONGEST = 8, 200  # characters of a password
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)  # OWASP's least; a sign-in takes ~30 ms
NOBODY = HASHER.hash(secrets.token_hex(8))  # verified where there is no such user: that takes as long
TOUCH = timedelta(minutes=1)  # how exactly the last use of a token is known


@dataclass(frozen=True)
class Caller:
    """Who asks, with a token of which scope."""

    user: User
    token: Token

    @property
    def is_admin(self) -> bool:
        return self.user.admin and self.token.scope in ("admin", "browser")


@dataclass(frozen=True)
class Identity:
    """Who somebody is at a provider: the subject is theirs for good, the name may be of others here."""

    issuer: str
    subject: str
    name: str
    email: str | None  # if the provider has verified it


def add_user(session: Session, name: str, password: str | None, email: str | None = None, admin: bool = False) -> User:
    """A new account; without a password nobody signs in to it. Raises UserError for a name that is taken or wrong."""
    if len(name) > NAME or not NAMES.fullmatch(name):
        raise UserError(f"account {name[:NAME]}: a name has at most {NAME} letters, digits and . _ - within")
    if name.lower() == MACHINE or session.scalar(select(User.id).where(func.lower(User.name) == name.lower())):
        raise UserError(f"account {name}: the name is taken")
    user = User(name=name, password=None if password is None else _hashed(password), email=email, admin=admin)
    session.add(user)
    session.flush()
    return user


def machine_user(session: Session) -> User:
    """The account of the workers that a server starts, to which nobody signs in."""
    user = session.scalar(select(User).where(User.name == MACHINE)) or User(name=MACHINE, password=None)
    session.add(user)
    session.flush()
    return user


def set_password(session: Session, user: User, password: str) -> None:
    """Another password, which ends what was begun with the one before: all browsers are signed out; tokens of programs
    are taken back one by one. Raises UserError for one that is too short."""
    user.password = _hashed(password)
    signed_in = (Token.user_id == user.id, Token.scope == "browser", Token.revoked_at.is_(None))
    session.execute(update(Token).where(*signed_in).values(revoked_at=now()))


def _hashed(password: str) -> str:
    if not SHORTEST <= len(password) <= LONGEST:
        raise UserError(f"a password has {SHORTEST} to {LONGEST} characters")
    return HASHER.hash(password)


def find_user(session: Session, name: str) -> User:
    """An account by its name. Raises UserError if there is none."""
    user = session.scalar(select(User).where(func.lower(User.name) == name.lower()))
    if user is None:
        raise UserError(f"account {name}: there is none such{suggest(name, session.scalars(select(User.name)))}")
    return user


def sign_in(session: Session, name: str, password: str) -> User | None:
    """The user whose password this is; None for any other, after the same time."""
    user = session.scalar(select(User).where(func.lower(User.name) == name.lower()))
    try:
        HASHER.verify(user.password if user and user.password else NOBODY, password[:LONGEST])
    except (VerificationError, InvalidHashError):
        return None
    return None if user is None or user.password is None or user.disabled_at else user


def user_at_provider(session: Session, identity: Identity, make: bool) -> User:
    """The account of somebody who signed in elsewhere, without a password; with `make` a new one, whose name is taken
    from nobody. Raises ForbiddenError for one that is disabled, and where there is none."""
    known = session.get(ProviderUser, (identity.issuer, identity.subject))
    if known is None and not make:
        raise ForbiddenError("there is no account of yours, and the league makes no new ones")
    if known is None:
        user = add_user(session, _free_name(session, identity.name), None, identity.email)
        known = ProviderUser(issuer=identity.issuer, subject=identity.subject, user_id=user.id, user=user)
        session.add(known)
    if known.user.disabled_at:
        raise ForbiddenError(f"account {known.user.name}: is disabled")
    return known.user


def _free_name(session: Session, wanted: str) -> str:
    """The name that somebody has elsewhere, as one that is free here."""
    plain = FOREIGN.sub("-", wanted).strip("._-")[: NAME - 10] or "player"
    taken = {*session.scalars(select(func.lower(User.name)).where(func.lower(User.name).startswith(plain.lower())))}
    taken.add(MACHINE)
    numbered = (f"{plain}-{number}" for number in count(2))
    return plain if plain.lower() not in taken else next(name for name in numbered if name.lower() not in taken)


def issue_token(session: Session, user: User, scope: Scope, label: str = "", most: int | None = None) -> str:
    """A new token of a user, which is told this once. Raises UserError where there would be more than `most`."""
    if scope == "admin" and not user.admin:
        raise UserError(f"account {user.name}: is no admin")
    if most is not None and len(tokens_of(session, user)) >= most:
        raise UserError(f"account {user.name}: has {most} tokens already; take back one that is not needed")
    text = PREFIX + secrets.token_urlsafe(32)
    ends = now() + (SESSION_TIME if scope == "browser" else TOKEN_TIME)
    session.add(Token(user_id=user.id, hash=_digest(text), scope=scope, label=label[:NAME], expires_at=ends))
    session.flush()
    return text


def tokens_of(session: Session, user: User) -> list[Token]:
    """Tokens of a user that are in force, newest first; browsers aside."""
    return list(
        session.scalars(
            select(Token)
            .where(Token.user_id == user.id, Token.revoked_at.is_(None), Token.expires_at > now())
            .where(Token.scope != "browser")
            .order_by(Token.created_at.desc())
        )
    )


def revoke(session: Session, user: User, token_id: Id) -> bool:
    """Take a token of a user back; False if it is none of theirs."""
    token = session.get(Token, token_id)
    if token is None or token.user_id != user.id:
        return False
    token.revoked_at = token.revoked_at or now()
    return True


def who(session: Session, text: str) -> Caller | None:
    """Who shows a token; None for one that is unknown, over, taken back, or of a disabled account.

    It is looked up by its hash: how long that takes tells nothing of a token that would be known.
    """
    if len(text) > 2 * NAME or not text.startswith(PREFIX):
        return None
    token = session.scalar(select(Token).where(Token.hash == _digest(text)))
    if token is None or token.revoked_at or token.expires_at <= now() or token.user.disabled_at:
        return None
    return Caller(token.user, token)


def touch(token: Token) -> bool:
    """Whether the last use of a token is to be noted."""
    return token.used_at is None or now() - token.used_at > TOUCH


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
