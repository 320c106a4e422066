"""The audit trail: who did what, from where."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from metta.league.store.schema import Audit, User

MOST_SUBJECT, MOST_ADDRESS = 500, 64  # characters
CONSOLE = "console"  # in place of an address: by a command on the machine of the database


def write(session: Session, user: User | None, action: str, subject: object = "", address: str = CONSOLE) -> None:
    """Write down that an account did something, or that something was done to it."""
    user_id = user.id if user else None
    session.add(
        Audit(user_id=user_id, action=action, subject=str(subject)[:MOST_SUBJECT], address=address[:MOST_ADDRESS])
    )


def newest(session: Session, limit: int, name: str | None = None) -> list[tuple[Audit, str | None]]:
    """The last entries, newest first, each with the name of its account; those of one account if one is named."""
    query = select(Audit, User.name).outerjoin(User, Audit.user_id == User.id)
    if name is not None:
        query = query.where(func.lower(User.name) == name.lower())
    found = session.execute(query.order_by(Audit.created_at.desc(), Audit.id).limit(limit))
    return [(entry, account) for entry, account in found]
