"""Which tasks are active, how they go, and which of them is played next: those whose score changes (Matiisen et al.
2017, teacher-student curriculum learning; Portelas et al. 2019, absolute learning progress).

All of it follows from the seed, the numbers of tasks and the episodes that are counted, which every process of a run
has alike.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.seeds import derive
from metta.game.engine.batch import Episode
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission
from metta.rl.experience.curriculum_settings import WHERE, CurriculumSettings
from metta.rl.experience.tasks import TaskSpace, in_words
from metta.rl.run.metrics import Metrics

MOST_DRAWS = 100  # in a row that give no task that is not active already


@dataclass
class Task:
    """An active task. Its score is the return per agent of a whole episode; the moving means are plain ones at first,
    until they have as many episodes as their rate tells."""

    number: int
    episodes: int = 0
    fast: float = 0.0
    slow: float = 0.0

    def count(self, score: float, fast: float, slow: float) -> None:
        self.episodes += 1
        self.fast += max(fast, 1 / self.episodes) * (score - self.fast)
        self.slow += max(slow, 1 / self.episodes) * (score - self.slow)

    @property
    def progress(self) -> float:
        """Learning progress: how far the latest scores are from the earlier ones, for better or worse."""
        return abs(self.fast - self.slow)


@dataclass
class Turn:
    """What a group of environments plays: the task in a slot, and since how many whole episodes."""

    slot: int
    number: int  # of the group's turns
    episodes: int = 0


class Curriculum:
    """A bounded number of active tasks, one for each group of environments at a time.

    A group that has played its task for `episodes` whole episodes per environment draws again. What it leaves is
    evicted where it is mastered, or beyond reach, or old, and the next task of the space takes its slot. A task that
    nobody has tried comes first; else they are drawn in proportion to their learning progress, with a floor.
    """

    def __init__(self, settings: CurriculumSettings, space: TaskSpace, seed: int, envs: int) -> None:
        """`envs` environments take part, in all processes together. It begins with `start` or `load_state_dict`."""
        self.settings, self._space, self._seed = settings, space, seed
        self.group_envs = settings.envs_of_group(envs)
        self._next, self._draws = 0, 0  # numbers of the next task and of the next choice
        self.tasks: list[Task] = []
        self.turns: list[Turn] = []  # of every group

    def start(self) -> None:
        """Begin with the first tasks of the space. Raise UserError where none makes a mission."""
        self._next, self._draws, self.tasks = 0, 0, []
        while len(self.tasks) < self.settings.tasks and (task := self._fresh()):
            self.tasks.append(task)
        if not self.tasks:
            raise UserError(f"{WHERE}: none of {MOST_DRAWS} draws makes a mission", ("curriculum.mission",))
        self.turns = [Turn(group % len(self.tasks), 0) for group in range(self.settings.groups)]

    def mission(self, group: int) -> Mission:
        """What a group plays now."""
        return self._space.mission(self._space.draw(self.tasks[self.turns[group].slot].number))

    def update(self, episodes: Sequence[Episode]) -> None:
        """Count the whole episodes of a batch, those of all environments in the order of their numbers, and let groups
        draw whose turn is over."""
        settings = self.settings
        for episode in episodes:
            turn = self.turns[episode.env // self.group_envs]
            turn.episodes += 1
            self.tasks[turn.slot].count(float(np.mean(episode.returns)), settings.fast, settings.slow)
        for turn in self.turns:
            if turn.episodes >= settings.episodes * self.group_envs:
                self._turn_over(turn)

    def probabilities(self) -> np.ndarray:
        """How likely each active task is drawn, float64 [tasks]; old ones, which another group still plays, are not.

        As long as both its means are plain ones a task cannot show progress: it counts as the one that shows most."""
        young = np.array([task.episodes < self.settings.most_episodes for task in self.tasks])
        young |= not young.any()  # in a space without others
        progress, floor = np.array([task.progress for task in self.tasks]), self.settings.floor
        unknown = [task.episodes * self.settings.fast <= 1 for task in self.tasks]
        progress = young * np.where(unknown, progress.max(), progress)
        even = young / young.sum()
        return floor * even + (1 - floor) * progress / progress.sum() if progress.sum() > 0 else even

    def metrics(self) -> Metrics:
        """What is known of the active tasks, by slot, and of all together."""
        told: Metrics = {}
        for slot, (task, probability) in enumerate(zip(self.tasks, self.probabilities().tolist(), strict=True)):
            label = f"curriculum/task{slot:02d}"
            told |= {f"{label}/number": task.number, f"{label}/episodes": task.episodes}
            told |= {f"{label}/probability": probability, f"{label}/learning_progress": task.progress}
            told |= {f"{label}/score": task.fast} if task.episodes else {}
        played = [task for task in self.tasks if task.episodes]
        return {
            **told,
            "curriculum/learning_progress": float(np.mean([task.progress for task in self.tasks])),
            **({"curriculum/score": float(np.mean([task.fast for task in played]))} if played else {}),
            "curriculum/tasks_drawn": self._next,
            "curriculum/turns": sum(turn.number + 1 for turn in self.turns),
        }

    def _turn_over(self, turn: Turn) -> None:
        """Let a group draw; what it leaves may go before."""
        left, number = turn.slot, self.tasks[turn.slot].number
        turn.slot = -1
        if self._spent(left) and (fresh := self._fresh()):
            self.tasks[left] = fresh
        turn.slot, turn.episodes = self._choose(), 0
        turn.number += self.tasks[turn.slot].number != number

    def _spent(self, slot: int) -> bool:
        """Whether the task in a slot, which a group has just left, is to go."""
        task, settings = self.tasks[slot], self.settings
        if any(turn.slot == slot for turn in self.turns):
            return False
        mean = float(np.mean([one.progress for one in self.tasks]))
        slack = task.progress < settings.mastered * mean
        return task.episodes >= (settings.least_episodes if slack else settings.most_episodes)

    def _choose(self) -> int:
        """A slot: the first that nobody has tried, else a draw by learning progress."""
        taken = {turn.slot for turn in self.turns}
        untried = (slot for slot, task in enumerate(self.tasks) if not task.episodes and slot not in taken)
        if (first := next(untried, None)) is not None:
            return first
        random = np.random.default_rng(derive(self._seed, "choice", self._draws))
        self._draws += 1
        return int(random.choice(len(self.tasks), p=self.probabilities()))

    def _fresh(self) -> Task | None:
        """The next task of the space that is not active; None where many draws give none."""
        active = [self._space.draw(task.number) for task in self.tasks]
        for number in range(self._next, self._next + MOST_DRAWS):
            drawn = self._space.draw(number)
            if drawn in active:
                continue
            try:
                build_pool(self._space.mission(drawn), 1, 0)  # a map that has room for everybody
            except UserError as error:
                warn(f"curriculum: task {number} ({in_words(drawn)}) is passed over: {error}")
                continue
            self._next = number + 1
            note(f"curriculum: task {number}: {in_words(drawn)}")
            return Task(number)
        return None

    def state_dict(self) -> dict[str, np.ndarray]:
        """Everything that resuming needs, as JSON: uint8 [bytes]."""
        numbers = {
            "next": self._next,
            "draws": self._draws,
            "tasks": [asdict(task) for task in self.tasks],
            "turns": [asdict(turn) for turn in self.turns],
        }
        return {"curriculum": np.frombuffer(bytearray(json.dumps(numbers).encode()), np.uint8)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state_dict` of the same settings and seed."""
        numbers = json.loads(state["curriculum"].tobytes())
        self._next, self._draws = numbers["next"], numbers["draws"]
        self.tasks = [Task(**task) for task in numbers["tasks"]]
        self.turns = [Turn(**turn) for turn in numbers["turns"]]
