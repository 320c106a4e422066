"""Teams of players, and when leaderboards were computed."""

import sqlalchemy as sa
from alembic import op

from metta.league.store.schema import Moment

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("match_players") as players:
        players.add_column(sa.Column("team", sa.String(64), nullable=True))
    with op.batch_alter_table("seasons") as seasons:
        seasons.add_column(sa.Column("ranked_at", Moment(), nullable=True))
