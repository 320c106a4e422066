"""What using an object does: ordered handlers of filters and mutations (rules 4)."""

from metta.game.engine import layout as L
from metta.game.maps.cells import HUB, JUNCTION, OXYGEN, SILICON, TEAM_JUNCTION
from metta.game.mission import MOST, Amounts, Mission
from metta.game.observation import STATION_KINDS
from metta.game.resources import ELEMENTS, RESOURCES, resource_rows

Row = list[int]
HEART = RESOURCES.index("heart")
ALIGNED: Row = [L.FI_ALIGNED, 0, 0]


def _has(what: int, amounts: Amounts, where: str) -> list[Row]:
    return [[what, item, amount] for item, amount in resource_rows(amounts, where)]


def _change(what: int, amounts: Amounts, where: str, sign: int) -> list[Row]:
    return [[what, item, amount] for item, amount in resource_rows(amounts, where, sign)]


class HandlerRows:
    """Rows of the handler, filter and mutation sections, one group of handlers per kind of object."""

    def __init__(self, mission: Mission) -> None:
        self.mission = mission
        self.handlers: list[Row] = []
        self.filters: list[Row] = []
        self.mutations: list[Row] = []
        self._known: dict[int, tuple[int, int]] = {}

    def of(self, cell: int, element: str) -> tuple[int, int]:
        """First handler and number of handlers of a map cell's kind."""
        if cell not in self._known:
            first = len(self.handlers)
            for filters, mutations in self._handlers(cell, element):
                self.handlers.append([len(self.filters), len(filters), len(self.mutations), len(mutations)])
                self.filters += filters
                self.mutations += mutations
            self._known[cell] = first, len(self.handlers) - first
        return self._known[cell]

    def _handlers(self, cell: int, element: str) -> list[tuple[list[Row], list[Row]]]:
        if cell in (JUNCTION, TEAM_JUNCTION):
            return self._junction()
        if cell == HUB:
            return self._hub()
        if cell in range(OXYGEN, SILICON + 1):
            return self._extractor(element)
        return self._station(STATION_KINDS[cell - HUB])

    def _deposit(self) -> list[Row]:
        return [[L.MU_DEPOSIT, RESOURCES.index(element), self.mission.deposit_amount] for element in ELEMENTS]

    def _extractor(self, element: str) -> list[tuple[list[Row], list[Row]]]:
        item, settings = RESOURCES.index(element), self.mission.extractor
        room: list[Row] = [[L.FI_ACTOR_ROOM, item, 1]] if settings.single_use else []  # nobody wastes the one use
        spent: list[Row] = [[L.MU_OBJECT, item, -MOST]] if settings.single_use else []
        return [
            (
                [[L.FI_ACTOR_HAS, RESOURCES.index("miner"), 1], *room],
                [[L.MU_TAKE, item, settings.miner_amount], *spent],
            ),
            (room, [[L.MU_TAKE, item, settings.amount], *spent]),
        ]

    def _junction(self) -> list[tuple[list[Row], list[Row]]]:
        cost = self.mission.cost
        dressed = _has(L.FI_ACTOR_HAS, {"aligner": 1, "influence": 1}, "align")
        armed = _has(L.FI_ACTOR_HAS, {"scrambler": 1}, "scramble")
        return [
            ([ALIGNED], self._deposit()),
            (
                [[L.FI_NEUTRAL, 0, 0], *dressed, *_has(L.FI_ACTOR_HAS, cost.align, "mission.cost.align")],
                [*_change(L.MU_ACTOR, cost.align, "mission.cost.align", -1), [L.MU_ALIGN, 0, 0]],
            ),
            (
                [[L.FI_ENEMY, 0, 0], *armed, *_has(L.FI_ACTOR_HAS, cost.scramble, "mission.cost.scramble")],
                [[L.MU_NEUTRALISE, 0, 0], *_change(L.MU_ACTOR, cost.scramble, "mission.cost.scramble", -1)],
            ),
        ]

    def _hub(self) -> list[tuple[list[Row], list[Row]]]:
        where = "mission.cost.heart"
        price = self.mission.cost.heart
        affordable = _has(L.FI_TEAM_HAS, price, where)
        pay = _change(L.MU_TEAM, price, where, -1)
        room: list[Row] = [] if self.mission.quirks.full_bag_burns_elements else [[L.FI_ACTOR_ROOM, HEART, 1]]
        return [
            ([ALIGNED, [L.FI_ACTOR_HAS_ELEMENT, 0, 1]], self._deposit()),
            ([ALIGNED, [L.FI_OBJECT_HAS, HEART, 2]], [[L.MU_TAKE, HEART, 1]]),
            ([ALIGNED, [L.FI_OBJECT_HAS, HEART, 1], *affordable, *room], [*pay, [L.MU_ACTOR, HEART, 1]]),
            ([ALIGNED, [L.FI_OBJECT_HAS, HEART, 1]], [[L.MU_TAKE, HEART, 1]]),
            ([ALIGNED, *affordable], [*pay, [L.MU_OBJECT, HEART, 1]]),
        ]

    def _station(self, gear: str) -> list[tuple[list[Row], list[Row]]]:
        where = f"mission.cost.{gear}"
        price: Amounts = getattr(self.mission.cost, gear)
        item = RESOURCES.index(gear)
        limited = self.mission.station.uses is not None
        left: list[Row] = [[L.FI_OBJECT_HAS, item, 1]] if limited else []
        used: list[Row] = [[L.MU_OBJECT, item, -1]] if limited else []
        return [
            ([ALIGNED, [L.FI_ACTOR_HAS, item, 1]], []),
            (
                [ALIGNED, *left, *_has(L.FI_TEAM_HAS, price, where)],
                [[L.MU_CLEAR_GEAR, 0, 0], *_change(L.MU_TEAM, price, where, -1), [L.MU_ACTOR, item, 1], *used],
            ),
        ]
