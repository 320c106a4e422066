"""Other things in an agent's hands, behind the back of the game's rules: `SimulationAgent.set_inventory`."""

from collections.abc import Mapping

from metta.common.errors import suggest
from metta.compat.config import ResourceLimitsConfig
from metta.compat.errors import UnknownResourceError
from metta.game.engine import layout as L
from metta.game.engine.batch import EnvBatch
from metta.game.mission import MOST


def set_inventory(
    batch: EnvBatch, agent: int, amounts: dict[str, int], resources: list[str], limits: list[ResourceLimitsConfig]
) -> None:
    """An agent of the first environment loses all, then gets these amounts, the last one first as there, each as far as
    the limits go with what it has by then. Losses, gains and a death are counted.

    Raises UnknownResourceError (a ValueError), and TypeError for what is no amount.
    """
    for name, amount in amounts.items():
        if name not in resources:
            raise UnknownResourceError(f"set_inventory: no resource {name}{suggest(name, resources)}")
        if not 0 <= int(amount) <= MOST:
            raise TypeError(f"set_inventory: {name}={amount}: amounts are 0 to {MOST}")
    state, builder = batch.state_dict(), batch._builder
    row, column = state["agents"][0, agent], builder.agent_stats.agent_column
    for name in resources:
        if lost := int(row[column(f"{name}.amount")]):
            row[column(f"{name}.lost")] += lost
            row[column("death")] += name == "hp"
            row[column(f"{name}.amount")] = 0
    held: dict[str, int] = {}
    adds = not batch.mission.quirks.bonuses_do_not_add
    for name in reversed(amounts):
        if got := min(int(amounts[name]), _room(name, held, limits, adds)):
            held[name] = row[column(f"{name}.amount")] = got
            row[column(f"{name}.gained")] += got
    first = int(builder.header[L.T_HELD])  # how many kinds are held, then their ids, the newest first
    row[first : first + 1 + len(held)] = [len(held), *(resources.index(name) for name in reversed(held))]
    row[L.AG_OVERFULL] = 0
    batch.load_state_dict(state)


def _room(name: str, held: Mapping[str, int], limits: list[ResourceLimitsConfig], adds: bool) -> int:
    """How much of a resource can be held beside the rest."""
    limit = next((one for one in limits if name in one.resources), None)
    if limit is None:
        return MOST
    bonus = sum(amount * held.get(item, 0) for item, amount in limit.modifiers.items())
    most = min(limit.min + bonus if adds else max(limit.min, bonus), limit.max)
    return max(0, most - sum(held.get(item, 0) for item in limit.resources))
