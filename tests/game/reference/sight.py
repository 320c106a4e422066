"""What agents see: every token of every observation (rules 8)."""

from metta.game.resources import ELEMENTS, GEAR, RESOURCES
from tests.game.reference.world import Cog, Place, Thing, World, apart

TOKENS, REACH, GLOBAL = 200, 5, 0xFE
Token = tuple[int, int, int]
FEATURE = {
    "agent:group": 0, "agent:frozen": 1, "completion": 2, "last_action": 3, "last_reward": 4, "vibe": 6, "tag": 7,
    "collective": 10, "east": 11, "west": 12, "north": 13, "south": 14, "agent_id": 15,
    **{f"inv:{item}": 16 + 2 * k for k, item in enumerate(RESOURCES)},
    **{f"team:{element}": 68 + 2 * k for k, element in enumerate(ELEMENTS)},
    "area": 76, "moved": 77,
}  # fmt: skip
REACHES = range(-REACH, REACH + 1)
WINDOW = sorted(((dr, dc) for dr in REACHES for dc in REACHES), key=lambda o: (abs(o[0]) + abs(o[1]), *o))


def tag_ids(world: World) -> dict[str, int]:
    """Tags are numbered alphabetically (rules 8.3)."""
    plain = ["agent", "wall", "junction", "c:junction", *(f"{element}_extractor" for element in ELEMENTS)]
    houses = [f"{team.short_name}:{kind}" for team in world.mission.teams.values() for kind in ("hub", *GEAR)]
    names = {f"type:{name}" for name in (*plain, *houses)} | {f"collective:{team}" for team in world.mission.teams}
    return {name: number for number, name in enumerate(sorted(names | {"collective:cogs"}))}


def amount_tokens(location: int, feature: int, amount: int) -> list[Token]:
    low = [(location, feature, amount % 256)]
    return [*low, (location, feature + 1, amount // 256)] if amount >= 256 else low


def global_tokens(world: World, cog: Cog) -> list[Token]:
    mission, team = world.mission, world.teams[cog.team]
    completion = 255 if world.time >= mission.max_steps else 256 * world.time // mission.max_steps
    paid = 0 if mission.quirks.last_reward_invisible else max(0, min(255, round(100 * float(cog.last_reward))))
    tokens = [("completion", completion), ("last_action", cog.last_action), ("moved", cog.moved), ("last_reward", paid)]
    south, east = cog.place[0] - cog.spawn[0], cog.place[1] - cog.spawn[1]
    tokens += [("east" if east > 0 else "west", min(255, abs(east)))] if east else []
    tokens += [("south" if south > 0 else "north", min(255, abs(south)))] if south else []
    written = [(GLOBAL, FEATURE[name], int(value)) for name, value in tokens]
    for element in ELEMENTS:
        written += amount_tokens(GLOBAL, FEATURE[f"team:{element}"], team.amounts[element])
    return written


def cell_tokens(world: World, location: int, there: Thing | Cog, tags: dict[str, int]) -> list[Token]:
    is_cog = isinstance(there, Cog)
    owner = there.team if is_cog else there.owner
    names = (f"collective:{owner}", "type:agent") if is_cog else there.tags
    stock = dict(reversed(there.bag.amounts.items())) if is_cog else {there.item: there.stock} if there.stock else {}
    tokens = [(location, FEATURE["collective"], world.names.index(owner))] if owner else []
    tokens += [(location, FEATURE["tag"], number) for number in sorted(tags[name] for name in names)]
    if is_cog and there.vibe:
        tokens.append((location, FEATURE["vibe"], there.vibe))
    for item, amount in stock.items():
        tokens += amount_tokens(location, FEATURE[f"inv:{item}"], amount)
    if is_cog:
        about = (("agent:group", there.group), ("agent:frozen", 0), ("agent_id", there.number))
        tokens += [(location, FEATURE[name], value) for name, value in about]
    return tokens


def territory(world: World, cog: Cog, place: Place) -> int:
    """1 where the nearest covering area is the cog's own, 2 where it is another's, 0 without any or at a tie."""
    sources = world.covering(place)
    nearest = min((apart(source.place, place) for source in sources), default=0)
    owners = {source.owner for source in sources if apart(source.place, place) == nearest}
    sides = {source.owner == cog.team for source in sources}
    if len(sides) == 1:  # only one side covers the cell: nothing is contested
        return 1 if sides.pop() else 2
    if len(owners) != 1:
        return 0
    return 1 if owners.pop() == cog.team else 2


def observe_cog(world: World, cog: Cog, tags: dict[str, int]) -> bytes:
    tokens = global_tokens(world, cog)
    rows, cols = world.grid.shape
    for dr, dc in WINDOW:
        place, location = (cog.place[0] + dr, cog.place[1] + dc), (dr + REACH) << 4 | (dc + REACH)
        if not (0 <= place[0] < rows and 0 <= place[1] < cols):
            continue
        side = 0 if world.mission.quirks.territory_invisible else territory(world, cog, place)
        tokens += [(location, FEATURE["area"], side)] if side else []
        there = world.at.get(place)
        if there:
            tokens += cell_tokens(world, location, there, tags)
            cog.stats["cell.visited"] += world.time - there.seen
            there.seen = world.time
    world.written += min(TOKENS, len(tokens))
    world.dropped += max(0, len(tokens) - TOKENS)
    return bytes(byte for token in tokens[:TOKENS] for byte in token).ljust(3 * TOKENS, b"\xff")


def observe(world: World) -> bytes:
    """Observations of all agents in index order, A x 200 x 3 bytes."""
    tags = tag_ids(world)
    world.observations += len(world.cogs)
    return b"".join(observe_cog(world, cog, tags) for cog in world.cogs)
