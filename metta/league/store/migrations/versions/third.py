"""Accounts of people who sign in elsewhere."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "provider_users",
        sa.Column("issuer", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_provider_users_user_id"),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_provider_users"),
    )
    op.create_index("ix_provider_users_user_id", "provider_users", ["user_id"])
