"""Ways to plan a season's matches and to score them, by the name that its file says."""

from collections.abc import Callable

from metta.league import plain
from metta.league.records import Lineup, Pool, Standing

PLANS: dict[str, Callable[[Pool, int], list[Lineup]]] = {"shares": plain.plan}
SCORES: dict[str, Callable[[Pool], list[Standing]]] = {"shares": plain.rank}
