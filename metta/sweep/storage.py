"""Where trials are kept and who works on which: a journal file on this machine, or PostgreSQL for any number of them.

Workers take trials one at a time, under a lock that goes when its holder dies. What a worker had when it died is found
by the lock of the worker (journal) or by its heartbeat (PostgreSQL), and is given out again.
"""

from metta.sweep.database import DatabaseStore
from metta.sweep.journal import JournalStore
from metta.sweep.plan import Plan
from metta.sweep.store import Store


def open_store(plan: Plan, works: bool = True) -> Store:
    """The store of a sweep. Raises UserError where it cannot be used."""
    if plan.sweep.storage:
        return DatabaseStore(plan.sweep.storage, plan.name, plan.sweep.lost_after)
    return JournalStore(plan.folder, works)
