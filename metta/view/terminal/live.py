"""A match played before a watcher's eyes, at the pace and from the place that keys choose."""

import time

from rich.console import Console

from metta.game.resources import MOVES, VIBES
from metta.view.events import Watcher
from metta.view.match import Match
from metta.view.scene import scene_of
from metta.view.terminal.bindings import BINDINGS
from metta.view.terminal.keys import Keys
from metta.view.terminal.picture import View, draw, help_pages
from metta.view.terminal.screen import Screen, shows_pictures

STEPS_PER_SECOND = 8  # at speed 1
SLOWEST, FASTEST = 0.25, 64
FRAME = 1 / 30  # seconds between pictures, at least
DRAWING_SHARE = 0.25  # of the time, at most
LOOK = 0.1  # seconds after which the size of the terminal is looked at, at the latest
PAN = 3  # cells
PANS = {"left": (0, -PAN), "h": (0, -PAN), "right": (0, PAN), "l": (0, PAN)} | {
    "up": (-PAN, 0), "k": (-PAN, 0), "down": (PAN, 0), "j": (PAN, 0),
}  # fmt: skip
STEPS = {"w": "move_north", "s": "move_south", "a": "move_west", "d": "move_east"}
EVENTS_KEPT = 200
FIRST_STEP = "the first step is under way; on a new machine it takes up to a minute"  # numba compiles the policy
ACTIONS = {key: binding.action for binding in BINDINGS for key in binding.keys}


def watch(match: Match, console: Console, speed: float = 1.0) -> None:
    """Play the match in the terminal of `console` until the watcher quits; without keys, until it has ended."""
    keys = Keys()
    view = View(speed=speed, pictures=shows_pictures(console), note=FIRST_STEP)
    with Screen(console, keys) as screen:
        Live(match, screen, view).run()


class Live:
    """The loop of the live view, and what every key does."""

    def __init__(self, match: Match, screen: Screen, view: View) -> None:
        self._match, self._screen, self._view = match, screen, view
        self._watcher = Watcher(match)
        self._action: int | None = None  # of the taken cog, for the next step
        self._over = False
        self._next_frame = time.monotonic()
        self._due = self._next_frame + 2 * FRAME  # a picture comes before the first step
        self._changed = True
        self._size = (0, 0)

    def run(self) -> None:
        while not self._over:
            self._play()
            self._draw()
            for key in self._screen.keys.read(max(0.0, self._next_event() - time.monotonic())):
                self.press(key)
            self._changed = self._screen.rest() or self._changed
            self._over = self._over or (self._match.ended and bool(self._screen.keys.absent))

    def press(self, key: str) -> None:
        """Do what the key stands for; other keys do nothing."""
        if key in ACTIONS:
            self._view.note = ""
            getattr(self, ACTIONS[key])(key)
            self._changed = True

    # Time.

    def _next_event(self) -> float:
        """When there is something to do, if no key is pressed."""
        now = time.monotonic()
        return min(
            now + LOOK,
            self._due if self._view.playing and not self._match.ended else now + LOOK,
            self._next_frame if self._changed else now + LOOK,
        )

    @property
    def _period(self) -> float:
        """Seconds between steps."""
        return 1 / (STEPS_PER_SECOND * self._view.speed)

    def _set_speed(self, speed: float) -> None:
        self._view.speed = min(max(SLOWEST, speed), FASTEST)
        self._due = min(self._due, time.monotonic() + self._period)

    def _play(self) -> None:
        """The steps that are due, but no longer than until the next picture. Time that was lost is not made up for."""
        now = time.monotonic()
        until = max(now, self._next_frame)
        while self._view.playing and not self._match.ended and self._due <= now <= until:
            self._advance()
            now = time.monotonic()
            self._due = max(self._due + self._period, now - FRAME)

    def _advance(self) -> None:
        if self._match.ended:
            self._view.note = "the episode has ended: q quits"
            return
        action, self._action = self._action, None
        noop = MOVES.index("noop")
        if not self._match.step:
            self._view.note = f"no keys: {absent}" if (absent := self._screen.keys.absent) else ""
        self._match.advance({self._view.agent: noop if action is None else action} if self._view.taken else {})
        self._view.events = [*self._view.events, *self._watcher.look()][-EVENTS_KEPT:]
        self._changed = True

    def _draw(self) -> None:
        size = self._screen.size()
        started = time.monotonic()
        if started < self._next_frame or not (self._changed or size != self._size):
            return
        self._screen.draw(draw(scene_of(self._match), self._view, *size))
        self._changed, self._size = False, size
        self._next_frame = max(started + FRAME, started + (time.monotonic() - started) / DRAWING_SHARE)

    # Keys.

    def toggle_pause(self, key: str) -> None:
        self._view.playing = not self._view.playing
        self._due = time.monotonic()

    def single_step(self, key: str) -> None:
        self._view.playing = False
        self._advance()

    def faster(self, key: str) -> None:
        self._set_speed(self._view.speed * 2)

    def slower(self, key: str) -> None:
        self._set_speed(self._view.speed / 2)

    def toggle_follow(self, key: str) -> None:
        self._view.camera = self._place() if self._view.camera is None else None

    def next_cog(self, key: str) -> None:
        self._choose((self._view.agent + 1) % self._match.batch.num_agents)

    def previous_cog(self, key: str) -> None:
        self._choose((self._view.agent - 1) % self._match.batch.num_agents)

    def choose_cog(self, key: str) -> None:
        if int(key) < self._match.batch.num_agents:
            self._choose(int(key))
        else:
            self._view.note = f"there is no cog {key}"

    def pan(self, key: str) -> None:
        rows, cols = self._match.batch.map(0).shape
        row, col = self._view.camera or self._place()
        self._view.camera = min(max(0, row + PANS[key][0]), rows - 1), min(max(0, col + PANS[key][1]), cols - 1)

    def centre_on_hub(self, key: str) -> None:
        scene = scene_of(self._match)
        self._view.camera = scene.hub(scene.cogs[self._view.agent].team)

    def toggle_takeover(self, key: str) -> None:
        self._view.taken, self._action = not self._view.taken, None

    def move(self, key: str) -> None:
        self._act(STEPS[key])

    def next_vibe(self, key: str) -> None:
        if not self._match.mission.change_vibe:
            self._view.note = "cogs have no vibes in this mission"
            return
        vibe = int(self._match.batch.vibes()[0, self._view.agent])
        self._act(f"change_vibe_{VIBES[(vibe + 1) % len(VIBES)]}")

    def next_help(self, key: str) -> None:
        pages = len(help_pages(scene_of(self._match), self._view, *self._screen.size()))
        self._view.help = (self._view.help + 1) % (pages + 1)

    def close_help(self, key: str) -> None:
        self._view.help = 0

    def redraw(self, key: str) -> None:
        self._screen.forget()

    def quit(self, key: str) -> None:
        self._over = True

    def _choose(self, agent: int) -> None:
        """Follow another cog; one that was taken over is given back."""
        if agent != self._view.agent:
            self._view.taken, self._action = False, None
        self._view.agent, self._view.camera = agent, None

    def _act(self, action: str) -> None:
        """The action of the taken cog in the next step, which comes at once where the match is paused."""
        if not self._view.taken:
            self._view.note = "t takes the followed cog over first"
            return
        self._action = self._match.batch.info.action_names.index(action)
        if not self._view.playing:
            self._advance()

    def _place(self) -> tuple[int, int]:
        row, col = self._match.batch.positions()[0, self._view.agent].tolist()
        return row, col
