"""For whom the matches of a pool are planned; what versions are told in secret."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("pools", sa.Column("planned_for", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("versions") as versions:
        versions.add_column(sa.Column("secrets", sa.String(64), nullable=False, server_default=""))
        versions.drop_constraint("uq_versions_policy_id_sha256", type_="unique")
        versions.create_unique_constraint("uq_versions_policy_id_sha256_secrets", ["policy_id", "sha256", "secrets"])
