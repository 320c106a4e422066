"""Frames of a video, drawn from a replay's states without a browser."""

from bisect import bisect_left

import numpy as np
from PIL import Image, ImageDraw

from metta.eval.replay.file import Replay
from metta.eval.replay.header import GONE
from metta.game.resources import GEAR
from metta.view.palette import PALETTE, Look, looks_of
from metta.view.video.course import Course, agents_of, held_item, objects_of, plain_name
from metta.view.video.drawing import font, rgba, stamp
from metta.view.video.sprites import LEVELS, Sprites

TOP, BOTTOM, EDGE = 76, 64, 16  # pixels above, below and beside
LEAST_WIDTH = 560  # pixels, for the words on top
TINT, OUTLINE = 0.16, 0.6
NIGHT = 0.3  # share of dusk in its colours
PULSE = 12  # steps that a ring around a junction that changed hands is seen
INK = {name: paint.dark for name, paint in PALETTE.ink.items()}


class Painter:
    """Draws the frames of a replay, all of the same size; `side` is the most pixels of the map."""

    def __init__(self, replay: Replay, course: Course, side: int) -> None:
        self._header, self._course, self._last = replay.header, course, replay.steps
        self._walls = np.array([[cell != "." for cell in row] for row in self._header.map])
        rows, cols = np.flatnonzero(~self._walls.all(1)), np.flatnonzero(~self._walls.all(0))
        self._first = (max(0, rows[0] - 1), max(0, cols[0] - 1)) if len(rows) else (0, 0)
        last = (rows[-1] + 1, cols[-1] + 1) if len(rows) else (len(self._walls) - 1, self._walls.shape[1] - 1)
        self._walls = self._walls[self._first[0] : last[0] + 1, self._first[1] : last[1] + 1]
        height, width = self._walls.shape
        self._cell = max(2, side // max(height, width))
        self.width = max(LEAST_WIDTH, width * self._cell + 2 * EDGE) // 2 * 2  # encoders want even numbers
        self.height = (height * self._cell + TOP + BOTTOM) // 2 * 2
        self._left = (self.width - width * self._cell) // 2
        looks = looks_of(self._header.collectives)
        self._looks = [looks[name] for name in self._header.collectives]
        self._names = [plain_name(self._header, k) for k in range(len(self._header.objects))]
        self._full = np.maximum(1, objects_of(self._header, replay.state(0))[:, 1])
        self._sprites, self._marks = Sprites(self._cell), Sprites(16)
        self._ground = self._draw_ground()
        self._areas: tuple[bytes, Image.Image] | None = None  # what it is of, and how it is drawn
        self._still: tuple[bytes, Image.Image] | None = None

    def paint(self, before: np.ndarray, after: np.ndarray, position: float) -> Image.Image:
        """The frame at `position`, between the states of the steps before and after it."""
        step = int(position)
        picture = self._things(objects_of(self._header, before), self._is_day(step)).copy()
        pen = ImageDraw.Draw(picture, "RGBA")
        self._draw_pulses(pen, position)
        self._draw_cogs(picture, agents_of(self._header, before), agents_of(self._header, after), position - step)
        self._draw_words(picture, pen, step)
        x = EDGE + (self.width - 2 * EDGE) * position / max(1, self._last)
        pen.line((x, self.height - BOTTOM + 8, x, self.height - 8), fill=rgba(INK["strong"]), width=2)
        return picture

    def pixel(self, row: float, col: float) -> tuple[float, float]:
        """Middle of a cell."""
        top, left = self._first
        return self._left + (col - left + 0.5) * self._cell, TOP + (row - top + 0.5) * self._cell

    def _look(self, owner: int) -> Look:
        return self._looks[owner] if 0 <= owner < len(self._looks) else PALETTE.neutral

    def _is_day(self, step: int) -> bool:
        length = self._header.day_length
        return length == 0 or step % length < length / 2

    def _draw_ground(self) -> Image.Image:
        """Frame, floor and walls."""
        picture = Image.new("RGB", (self.width, self.height), INK["panel"])
        pen, cell = ImageDraw.Draw(picture), self._cell
        height, width = self._walls.shape
        pen.rectangle((0, TOP, self.width, TOP + height * cell - 1), fill=INK["void"])
        open_cells = np.pad(~self._walls, 1)
        around = [np.roll(open_cells, (dr, dc), (0, 1)) for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
        near = np.any(around, 0)[1:-1, 1:-1]
        for row in range(height):
            for col in range(width):
                x, y = self._left + col * cell, TOP + row * cell
                if not self._walls[row, col]:
                    pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=INK["floor"])
                    pen.point((x + cell // 2, y + cell // 2), fill=INK["grid"])
                elif near[row, col]:
                    pen.rectangle((x, y, x + cell - 1, y + cell - 1), fill=INK["wall"])
                    if row and not self._walls[row - 1, col]:
                        pen.rectangle((x, y, x + cell - 1, y + cell // 5), fill=INK["wallTop"])
        picture.paste(self._draw_curve(), (0, self.height - BOTTOM))
        return picture

    def _things(self, objects: np.ndarray, day: bool) -> Image.Image:
        """Ground, areas and things: drawn anew only where one of them changes."""
        owners, levels = objects[:, 0], np.ceil(LEVELS * np.clip(objects[:, 1] / self._full, 0, 1)).astype(np.int64)
        areas = owners.tobytes() + bytes([day])
        if self._areas is None or self._areas[0] != areas:
            self._areas = areas, self._draw_areas(owners, day)
        things = areas + levels.tobytes()
        if self._still is None or self._still[0] != things:
            self._still = things, self._draw_things(self._areas[1].copy(), objects, levels)
        return self._still[1]

    def _draw_things(self, picture: Image.Image, objects: np.ndarray, levels: np.ndarray) -> Image.Image:
        for thing, name, (owner, _), level in zip(self._header.objects, self._names, objects, levels, strict=True):
            if owner != GONE:
                stamp(
                    picture,
                    self._sprites.thing(name, self._look(int(owner)), int(level)),
                    *self.pixel(thing.row, thing.col),
                )
        return picture

    def _draw_areas(self, owners: np.ndarray, day: bool) -> Image.Image:
        """The ground with the areas of each collective, outlined, darker at night."""
        picture, cell = np.asarray(self._ground).astype(np.float32), self._cell
        height, width = self._walls.shape
        box = picture[TOP : TOP + height * cell, self._left : self._left + width * cell]
        rows, cols = np.ogrid[:height, :width]
        rows, cols = rows + self._first[0], cols + self._first[1]
        for owner, look in enumerate(self._looks):
            sources = [
                self._header.objects[k]
                for k in np.flatnonzero(owners == owner)
                if self._names[k] in ("junction", "hub")
            ]
            cover = np.zeros((height, width), bool)
            for at in sources:
                cover |= (rows - at.row) ** 2 + (cols - at.col) ** 2 <= self._header.radius**2
            mask = np.kron(cover & ~self._walls, np.ones((cell, cell), bool))
            inner = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
            colour = np.array(rgba(look.dark)[:3], np.float32)
            for where, share in ((inner, TINT), (mask & ~inner, OUTLINE)):
                box[where] += share * (colour - box[where])
        if not day:
            box += NIGHT * (np.array(rgba(INK["dusk"])[:3], np.float32) - box)
        return Image.fromarray(picture.round().astype(np.uint8))

    def _draw_cogs(self, picture: Image.Image, before: np.ndarray, after: np.ndarray, t: float) -> None:
        ease = t * t * (3 - 2 * t)
        places = before[:, :2] + (after[:, :2] - before[:, :2]) * ease
        worn = {gear: held_item(self._header, before, gear) > 0 for gear in GEAR}
        alive, hearts = held_item(self._header, before, "hp") > 0, held_item(self._header, before, "heart") > 0
        for agent, (row, col) in enumerate(places.tolist()):
            team = self._look(self._header.agents[agent].team)
            gear = next((gear for gear in GEAR if worn[gear][agent]), "")
            stamp(
                picture,
                self._sprites.cog(agent, gear, team, bool(alive[agent]), bool(hearts[agent])),
                *self.pixel(row, col),
            )

    def _draw_pulses(self, pen: ImageDraw.ImageDraw, position: float) -> None:
        """Rings that spread from junctions that changed hands."""
        changes = self._course.changes
        for change in changes[bisect_left(changes, position - PULSE, key=lambda each: each.step) :]:
            if change.step > position:
                break
            age = (position - change.step) / PULSE
            radius, (x, y) = self._cell * (0.7 + 2.2 * age), self.pixel(change.row, change.col)
            box = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(box, outline=rgba(self._look(change.owner).dark, 1 - age), width=3)

    def _draw_words(self, picture: Image.Image, pen: ImageDraw.ImageDraw, step: int) -> None:
        """What is played, and how the teams stand."""
        day = "" if not self._header.day_length else " · day" if self._is_day(step) else " · night"
        pen.text((EDGE, 22), self._header.mission, rgba(INK["text"]), font(20), "lm")
        pen.text((self.width - EDGE, 22), f"step {step} of {self._last}{day}", rgba(INK["dim"]), font(16), "rm")
        x, teams = EDGE + 8.0, {agent.team for agent in self._header.agents}
        for owner, name in enumerate(self._header.collectives):
            held, score = self._course.held[step][owner], self._course.scores[step][owner]
            words = f"{name}  {held} junctions" + (f", score {score:.2f}" if owner in teams else "")
            stamp(picture, self._marks.thing("junction", self._look(owner), 0), x, 54)
            pen.text((x + 18, 54), words, rgba(self._look(owner).dark), font(16), "lm")
            x += 18 + pen.textlength(words, font(16)) + 30

    def _draw_curve(self) -> Image.Image:
        """Junctions held by each collective over the steps, as areas."""
        picture = Image.new("RGB", (self.width, BOTTOM), INK["panel"])
        pen, floor, high = ImageDraw.Draw(picture, "RGBA"), BOTTOM - 10, BOTTOM - 20
        most = max(1, sum(name == "junction" for name in self._names))
        every = np.unique(np.linspace(0, self._last, min(self._last + 1, self.width)).round().astype(int))
        x = EDGE + (self.width - 2 * EDGE) * every / max(1, self._last)
        for owner, look in enumerate(self._looks):
            y = [floor - high * self._course.held[step][owner] / most for step in every]
            line = list(zip(x.tolist(), y, strict=True))
            pen.polygon([(EDGE, floor), *line, (x[-1], floor)], fill=rgba(look.dark, 0.18))
            pen.line(line, fill=rgba(look.dark), width=2)
        return picture
