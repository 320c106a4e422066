"""For whom the matches of a pool are planned."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("pools", sa.Column("planned_for", sa.Integer(), nullable=False, server_default="0"))
