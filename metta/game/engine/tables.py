"""Compile a mission into the flat tables that the kernels read."""

from functools import cache

import numpy as np

from metta.game import observation as obs
from metta.game.engine import layout as L
from metta.game.engine.handlers import HandlerRows
from metta.game.engine.schedule import event_rows
from metta.game.engine.stats import AgentStats, TeamStats
from metta.game.maps.cells import HUB, JUNCTION, SCOUT, TEAM_JUNCTION, TEAM_SHIFT
from metta.game.mission import Amounts, Mission
from metta.game.resources import CLIPS, ELEMENTS, GEAR, RESOURCES, ROLE, ROLES, VIBES, resource_id, resource_rows
from metta.game.rewards import reward_entries

Rows = list[list[int]]
PLAIN_TOKENS = 3 + 1 + 3  # most tokens by which an agent is seen, without those of its inventory


class TableBuilder:
    """Collects sections and header numbers, then lays them out in one int32 array."""

    def __init__(self, mission: Mission, shape: tuple[int, int], objects: int, first: int = 0):
        """For maps of that shape with room for so many objects; `first` is the number of the first environment."""
        self.mission = mission
        self.collectives = obs.collectives(mission)
        self.tags = obs.tags(mission)
        self.types = ["agent", *obs.type_names(mission)]
        self.header = np.zeros(L.T_HEADER, np.int32)
        self.header[L.T_FIRST_ENV] = first
        self.sections: list[np.ndarray] = []
        self.size = L.T_HEADER
        self.resources = obs.resources(mission)
        self.agent_stats = AgentStats(self.resources)
        self.team_stats = TeamStats(self.types, self.resources)
        self.weights: list[tuple[float, float]] = []
        self._numbers(shape, objects)
        self._features()
        self._limits()
        self._upkeep()
        self._kinds()
        self._events()
        self._agents()
        self._window()

    def put(self, start: int, rows: Rows | list[int], count: int | None = None) -> None:
        """Append a section; its offset goes to header cell `start`, its number of rows to header cell `count`."""
        flat = np.asarray(rows, np.int32).ravel()
        self.header[start] = self.size
        if count is not None:
            self.header[count] = len(rows)
        self.sections.append(flat)
        self.size += flat.size

    def tables(self, maps: np.ndarray) -> L.Tables:
        weights = np.array(self.weights or [(0.0, np.inf)], np.float32)
        return L.Tables(
            np.concatenate([self.header, *self.sections]).astype(np.int32), weights.ravel(), _ranks().ravel(), maps
        )

    def _numbers(self, shape: tuple[int, int], objects: int) -> None:
        mission, quirks = self.mission, self.mission.quirks
        held, stats = len(self.resources), self.agent_stats
        rows, columns = shape[0] + 2 * L.PAD, shape[1] + 2 * L.PAD
        tiles, bit_words = -(-columns // 4), -(-columns // 64)
        numbers = {
            L.T_AGENTS: mission.agents, L.T_RESOURCES: held, L.T_COLLECTIVES: len(self.collectives),
            L.T_TYPES: len(self.types), L.T_HEIGHT: shape[0], L.T_WIDTH: shape[1], L.T_TILES: tiles,
            L.T_MAX_STEPS: mission.max_steps, L.T_HELD: L.AG_INVENTORY + held,
            L.T_STATS: stats.start, L.T_BIT_WORDS: bit_words, L.T_BITS: rows * bit_words + 1,
            L.T_ENERGY: RESOURCES.index("energy"), L.T_HP: RESOURCES.index("hp"), L.T_HEART: RESOURCES.index("heart"),
            L.T_CLIPS: self.collectives.index(CLIPS) if CLIPS in self.collectives else -1,
            L.T_NUM_ACTIONS: len(obs.action_names(mission.change_vibe)),
            L.T_ELEMENT_LIMIT: mission.team_element_limit, L.T_RADIUS: mission.area.radius,
            L.T_AGENT_COLUMNS: _whole_lines(stats.start + stats.size), L.T_OBJECTS: objects,
            L.T_TEAM_COLUMNS: self.team_stats.size, L.T_CELLS: -(-rows // 4) * tiles * L.TILE_CELLS,
            L.T_CODES: L.CELL_FIRST + mission.agents + objects,
            L.T_SCRATCH: _scratch_bytes(PLAIN_TOKENS + 2 * held),
            L.T_ADD_BONUSES: not quirks.bonuses_do_not_add,
            L.T_AOE_VISIBLE: not quirks.territory_invisible, L.T_REWARD_VISIBLE: not quirks.last_reward_invisible,
            L.T_FREE_IDLE_USE: not quirks.idle_use_costs_energy, L.T_CUT_INITIAL: not quirks.initial_energy_above_limit,
            L.T_TRUNCATE: not quirks.time_limit_is_terminal, L.T_FLOOR_CAPS: not quirks.negative_caps_charge_at_once,
        }  # fmt: skip
        for cell, value in numbers.items():
            self.header[cell] = int(value)

    def _features(self) -> None:
        ids = {feature.name: feature.id for feature in obs.features(self.resources)}
        names = {
            L.F_GROUP: "agent:group", L.F_FROZEN: "agent:frozen", L.F_COMPLETION: "episode_completion_pct",
            L.F_LAST_ACTION: "last_action", L.F_LAST_REWARD: "last_reward", L.F_VIBE: "vibe", L.F_TAG: "tag",
            L.F_COLLECTIVE: "collective", L.F_EAST: "lp:east", L.F_WEST: "lp:west", L.F_NORTH: "lp:north",
            L.F_SOUTH: "lp:south", L.F_AGENT_ID: "agent_id", L.F_AOE: "aoe_mask", L.F_MOVED: "last_action_move",
            L.T_INVENTORY_FEATURE: f"inv:{RESOURCES[0]}",
        }  # fmt: skip
        for cell, name in names.items():
            self.header[cell] = ids[name]
        self.header[L.T_AGENT_TAG] = self.tags.index("type:agent")
        self.header[L.T_WALL_TAG] = self.tags.index("type:wall")
        rows = [[RESOURCES.index(e), ids[f"inv:collective:{e}"]] for e in ELEMENTS]
        self.put(L.S_TEAM_TOKEN, rows, L.T_TEAM_TOKENS)
        self.put(L.S_TEAM_LIMITED, [int(name in ELEMENTS) for name in self.resources])
        own = [[self.resources.index(ROLE), ids[f"inv:own:{ROLE}"]]] if self.mission.roles else []
        self.put(L.S_OWN_TOKEN, own, L.T_OWN_TOKENS)

    def _limits(self) -> None:
        """Limit groups (rules 1.2): (members, min, max, bonus per unit of a modifier)."""
        cog = self.mission.cog
        unlimited = 65535
        groups: list[tuple[tuple[str, ...], int, int, Amounts, str]] = [
            (("hp",), cog.hp_limit, unlimited, cog.hp_modifiers, "mission.cog.hp_modifiers"),
            (GEAR, 0, cog.gear_limit, cog.gear_modifiers, "mission.cog.gear_modifiers"),
            (("heart",), 0, cog.heart_limit, cog.heart_modifiers, "mission.cog.heart_modifiers"),
            (("energy",), cog.energy_limit, unlimited, cog.energy_modifiers, "mission.cog.energy_modifiers"),
            (ELEMENTS, cog.cargo_limit, unlimited, cog.cargo_modifiers, "mission.cog.cargo_modifiers"),
            (
                ("influence",),
                cog.influence_limit,
                unlimited,
                cog.influence_modifiers,
                "mission.cog.influence_modifiers",
            ),
        ]
        group_of, sufficient = [-1] * len(self.resources), [0] * len(self.resources)
        group_rows: Rows = []
        modifier_rows: Rows = []
        members: list[int] = []
        for index, (names, least, most, modifiers, where) in enumerate(groups):
            rows = resource_rows(modifiers, where)
            floor = min(least, most) if len(names) == 1 else -1
            group_rows.append([least, most, len(modifier_rows), len(rows), len(members), len(names), floor])
            modifier_rows += rows
            for item, bonus in rows:
                sufficient[item] = max(sufficient[item], 1, -(-most // bonus) if bonus > 0 else most)
            # Items are dropped in descending id: silicon first, oxygen last.
            members += sorted((RESOURCES.index(name) for name in names), reverse=True)
            for name in names:
                group_of[RESOURCES.index(name)] = index
        self.header[L.T_GEAR_GROUP] = 1
        self.put(L.S_GROUP, group_rows, L.T_GROUPS)
        self.put(L.S_GROUP_OF, group_of)
        self.put(L.S_MODIFIER, modifier_rows)
        if any(bonus <= 0 for _, bonus in modifier_rows):  # then no amount guarantees a limit
            sufficient = [unlimited + 1 if amount else 0 for amount in sufficient]
        self.put(L.S_SUFFICIENT, sufficient)
        self.put(L.S_MEMBER, members)
        self._area_order = [L.AT_ONCE if amount else L.SUMMED for amount in sufficient]
        for names, _, _, modifiers, _ in groups:
            for name in set(names) & set(modifiers):
                self._area_order[RESOURCES.index(name)] = L.ONE_BY_ONE

    def _upkeep(self) -> None:
        mission = self.mission
        self.put(L.S_COST, resource_rows(mission.cog.action_cost, "mission.cog.action_cost"), L.T_COST_ROWS)
        ticks = [
            [RESOURCES.index("hp"), mission.cog.hp_regen, -1],
            [RESOURCES.index("influence"), mission.cog.influence_regen, -1],
            [RESOURCES.index("energy"), 1, RESOURCES.index("solar")],
        ]
        self.put(L.S_TICK, [row for row in ticks if row[1]], L.T_TICK_ROWS)
        friendly, enemy = mission.area.friendly, mission.area.enemy
        rows: Rows = []
        for name in dict.fromkeys([*enemy, *friendly]):
            item = resource_id(name, "mission.area")
            rows.append([item, friendly.get(name, 0), enemy.get(name, 0), self._area_order[item]])
        # Changes of modifiers act one by one, before the summed ones (rules 5).
        self.put(L.S_AREA, sorted(rows, key=lambda row: row[3] == L.SUMMED), L.T_AREA_ROWS)

    def _kinds(self) -> None:
        """Object kinds, their handlers and tags, and which map cell means which kind."""
        handlers = HandlerRows(self.mission)
        cell_kind = [-1] * 256
        kinds: Rows = []
        tag_ids: list[int] = []
        first, last = JUNCTION, TEAM_JUNCTION + len(obs.STATION_KINDS) + len(ELEMENTS)
        for team in range(len(self.mission.teams)):
            for cell in range(first, last + 1):
                cell_kind[cell | team << TEAM_SHIFT] = len(kinds)
                kinds.append(self._kind(cell, team, handlers, tag_ids))
        self.put(L.S_TAG, tag_ids)
        self.put(L.S_KIND, kinds)
        self.put(L.S_CELL_KIND, cell_kind)
        self.put(L.S_HANDLER, handlers.handlers)
        self.put(L.S_FILTER, handlers.filters)
        self.put(L.S_MUTATION, handlers.mutations)

    def _kind(self, cell: int, team: int, handlers: HandlerRows, tag_ids: list[int]) -> list[int]:
        """One row of KI_ columns; appends the kind's tags to `tag_ids`."""
        mission = self.mission
        name = obs.cell_name(cell, mission, team)
        element = name.removesuffix("_extractor")
        special = cell == TEAM_JUNCTION
        owned = special or HUB <= cell <= SCOUT
        owner = list(mission.teams)[team] if owned else None
        tags = [f"type:{name}", *(["type:junction"] if special else [])]
        tags += [f"collective:{obs.SPECIAL_TEAM if special else owner}"] if owned else []
        counted = "junction" if special and not mission.quirks.hub_junction_is_special else name
        row = [-1] * L.KIND_COLUMNS
        row[L.KI_STOCK] = row[L.KI_REMOVABLE] = 0
        if cell == HUB:
            row[L.KI_RESOURCE], row[L.KI_STOCK] = RESOURCES.index("heart"), mission.teams[str(owner)].hub_hearts
        elif element in ELEMENTS:
            row[L.KI_RESOURCE], row[L.KI_STOCK] = RESOURCES.index(element), mission.extractor.stock_of(element)
            row[L.KI_REMOVABLE] = 1
        elif cell in range(HUB + 1, SCOUT + 1) and mission.station.uses:
            gear = obs.STATION_KINDS[cell - HUB]
            row[L.KI_RESOURCE], row[L.KI_STOCK] = RESOURCES.index(gear), mission.station.uses
        row[L.KI_SOURCE] = cell in (JUNCTION, TEAM_JUNCTION, HUB)
        row[L.KI_TARGET] = cell in (JUNCTION, TEAM_JUNCTION)
        row[L.KI_HANDLER], row[L.KI_HANDLERS] = handlers.of(cell, element)
        row[L.KI_TYPE] = self.types.index(counted)
        row[L.KI_OWNER] = self.collectives.index(owner) if owner else -1
        row[L.KI_SPECIAL] = counted == obs.SPECIAL_JUNCTION
        row[L.KI_TAG], row[L.KI_TAGS] = len(tag_ids), len(tags)
        assert 1 + len(tags) + 2 * (row[L.KI_RESOURCE] >= 0) <= L.BLOCK_TOKENS, f"{name} shows too many tokens"
        tag_ids += sorted(self.tags.index(tag) for tag in tags)
        return row

    def _events(self) -> None:
        events, schedule = event_rows(self.mission)
        self.put(L.S_EVENT, events or [[0] * L.EVENT_COLUMNS])
        self.put(L.S_SCHEDULE, schedule, L.T_EVENT_COUNT)

    def _agents(self) -> None:
        """Per agent: team, group, vibe, reward entries and initial inventory."""
        mission, rows, entry_rows = self.mission, [], []
        cog, roles = mission.cog, mission.roles
        initial = {"energy": cog.initial_energy, "hp": cog.initial_hp, "solar": cog.initial_solar}
        initial |= cog.initial_inventory
        for group, (name, size) in enumerate(zip(mission.teams, mission.team_sizes, strict=True)):
            for index in range(size):
                role = roles[index % len(roles)] if roles else None
                vibe = VIBES.index(role) if role else 0
                held = initial | ({ROLE: ROLES.index(role)} if role else {})
                stock = [held.get(item, 0) for item in self.resources]
                entries = reward_entries(mission, index)
                tag = self.tags.index(f"collective:{name}")
                row = [self.collectives.index(name), group, tag, len(entry_rows), len(entries), vibe, *stock]
                rows.append(row)
                for entry in entries.values():
                    entry_rows.append(self._entry_source(entry.stat))
                    self.weights.append((entry.weight, np.inf if entry.max is None else entry.max))
        self.header[L.T_FLOAT_COLUMNS] = L.FL_ENTRY + max(1, *(row[L.AGENT_ENTRIES] for row in rows))
        self.put(L.S_AGENT, rows)
        self.put(L.S_ENTRY, entry_rows or [[0, 0]])
        teams = []
        for name in self.collectives:
            team = mission.teams.get(name)
            teams.append([team.stock_of(item) if team else 0 for item in self.resources])
        self.put(L.S_TEAM, teams)

    def _entry_source(self, stat: str) -> list[int]:
        """Where a reward statistic is found: kind of source, column."""
        if stat in ("gain_diversity", "deposit_diversity"):
            return [L.SOURCE_GAIN if stat == "gain_diversity" else L.SOURCE_DEPOSIT, 0]
        if stat == "collective.junction":  # never written by the original
            return [L.SOURCE_ZERO, 0]
        if stat.startswith("collective."):
            return [L.SOURCE_TEAM, self.team_stats.column(stat.removeprefix("collective."))]
        return [L.SOURCE_AGENT, self.agent_stats.agent_column(stat)]

    def _window(self) -> None:
        self.put(L.S_PLACE, _window_cells(int(self.header[L.T_TILES])))


@cache
def _window_cells(tiles: int) -> list[int]:
    """Cells of the window relative to its centre, for each place that the centre may have in its tile."""
    offsets = _window_offsets()
    base = 4 * (L.PAD // 4 + 1)  # rows and columns before the centre's tile, so that no number is negative

    def cell(row: int, col: int) -> int:
        return ((row >> 2) * tiles + (col >> 2)) << 4 | (row & 3) << 2 | (col & 3)

    rows = np.zeros((L.TILE_CELLS, L.PLACES), np.int32)
    for place in range(L.TILE_CELLS):
        row, col = base + (place >> 2), base + (place & 3)
        for bit, (dr, dc) in enumerate(offsets):
            relative, location = cell(row + dr, col + dc) - cell(row, col), (dr + L.PAD) << 4 | (dc + L.PAD)
            rows[place, bit] = relative << L.LOCATION_BITS | location
    return rows.ravel().tolist()


def _scratch_bytes(tokens: int) -> int:
    """Whole cache lines for so many tokens; they are read in pieces, and a byte is written behind the last."""
    pieces = -(-(tokens * L.TOKEN_BYTES + 1) // L.SCRATCH_PIECE)
    return -(-(L.SCRATCH_FIRST + pieces * L.SCRATCH_PIECE) // L.CACHE_LINE) * L.CACHE_LINE


def _whole_lines(columns: int) -> int:
    """Columns of 32 bits that fill whole cache lines."""
    words = L.CACHE_LINE // 4
    return -(-columns // words) * words


def _window_offsets() -> list[tuple[int, int]]:
    """Rows and columns of the window's cells from the centre outward (rules 8: by |dr|+|dc|, then dr, then dc)."""
    reach = range(-L.PAD, L.PAD + 1)
    return sorted(((dr, dc) for dr in reach for dc in reach), key=lambda o: (abs(o[0]) + abs(o[1]), *o))


def _ranks() -> np.ndarray:
    """Which bits in window order the bits of a window's row are: uint64 [WINDOW, RANK_ROWS, 2]."""
    rank = {offset: index for index, offset in enumerate(_window_offsets())}
    ranks = np.zeros((L.WINDOW, L.RANK_ROWS, 2), np.uint64)
    for row in range(L.WINDOW):
        for value in range(L.RANK_ROWS):
            bits = value if value < L.RANK_LOW else (value - L.RANK_LOW) << L.RANK_LOW_BITS
            places = [rank[row - L.PAD, col - L.PAD] for col in range(L.WINDOW) if bits >> col & 1]
            word = sum(1 << place for place in places)
            ranks[row, value] = word & (1 << 64) - 1, word >> 64
    return ranks
