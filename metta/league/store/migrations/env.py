"""Run by Alembic; the connection is `metta.league.store.database`'s."""

from alembic import context

from metta.league.store.schema import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
context.run_migrations()
