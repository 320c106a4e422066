"""What a person sees of a run: a live table in a terminal, a plain line now and then elsewhere."""

import re
import sys
import time
from collections import deque

from rich.console import Console
from rich.live import Live
from rich.table import Table

from metta.common.logging import note
from metta.rl.run.metrics import SCORE, SCORE_NOW, Metrics
from metta.rl.run.time_limit import TimeLimit

PLAIN_SECONDS = 5.0
RECENT = 50  # epochs whose pace tells what is left
HEARTS = "overview/heart_count"
COST = "monitor/cost"
NPCS = "dual_policy/npc_reward"
EVALUATED = re.compile(r"eval_([^/]+)/reward")
CLONING = "losses/supervised_action_loss"
STEP, TIME = "metric/agent_step", "metric/total_time"
# What a line says of learning, as far as the enabled losses report it.
LOSSES = (
    ("losses/teacher_agreement", "agreement", ".0%"),
    ("losses/policy_loss", "policy", ".4f"),
    ("losses/value_loss", "value", ".4f"),
    ("losses/gtd_critic_loss", "value", ".4f"),
    ("losses/entropy", "entropy", ".3f"),
    ("losses/approx_kl", "kl", ".4f"),
)


class ProgressView:
    """Shows the metrics of each epoch. As a context manager it holds the terminal."""

    def __init__(
        self, run: str, total_steps: int, limit: TimeLimit, console: Console | None = None, plain: bool = False
    ) -> None:
        self._console = console or Console(file=sys.stdout)
        self._run, self._total, self._limit = run, total_steps, limit
        self._live = (
            Live(console=self._console, auto_refresh=False) if self._console.is_terminal and not plain else None
        )
        self._shown: Metrics = {}
        self._ends: deque[tuple[float, float]] = deque(maxlen=RECENT)  # of epochs: agent-steps and seconds until there
        self._last_line = -PLAIN_SECONDS
        self._unsaid = ""
        self.checkpoint = ""
        self._evaluated = ""  # suite, score and epoch of the last evaluation

    def __enter__(self) -> "ProgressView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        elif self._unsaid:
            note(self._unsaid)

    def show(self, metrics: Metrics) -> None:
        """Report an epoch; values that it lacks (no episode ended) stay as last seen."""
        self._shown |= metrics
        if {STEP, TIME} <= metrics.keys():
            self._ends.append((metrics[STEP], metrics[TIME]))
        if scores := [(found[1], value) for name, value in metrics.items() if (found := EVALUATED.fullmatch(name))]:
            suite, score = scores[0]
            self._evaluated = f"{suite} {score:.3f} at epoch {metrics.get('metric/epoch', 0):.0f}"
        if self._live:
            self._live.update(self._table(), refresh=True)
            return
        self._unsaid = self._line()
        if time.monotonic() - self._last_line >= PLAIN_SECONDS:
            note(self._unsaid)
            self._unsaid, self._last_line = "", time.monotonic()

    def _value(self, name: str, form: str = ".3f") -> str:
        value = self._shown.get(name)
        return "–" if value is None else f"{value:{form}}"

    @property
    def _step(self) -> float:
        return self._shown.get(STEP, 0)

    @property
    def _share(self) -> float:
        """Of the steps, or of the time where more of that is over."""
        return max(min(1, self._step / self._total), self._limit.share)

    def _left(self) -> str:
        """How long it will go on at the pace of the recent epochs. The first one, which compiles what is not in a cache
        yet, only starts the clock."""
        bounds = [] if self._limit.left is None else [self._limit.left]
        if len(self._ends) > 1:
            (first, begin), (last, end) = self._ends[0], self._ends[-1]
            bounds.append((self._total - last) * (end - begin) / (last - first))
        if not bounds:
            return "–"
        minutes, seconds = divmod(int(max(0, min(bounds))), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"

    def _reward(self) -> str:
        """Of whole episodes; until one has ended, of the steps of those that go on."""
        if SCORE in self._shown:
            return f"reward {self._value(SCORE)} per episode"
        return f"no episode over yet, reward {self._value(SCORE_NOW)} per 1,000 agent-steps"

    def _cost(self) -> str:
        """So far, and what the whole run will come to."""
        return f"{self._value(COST, '.2f')} of {self._value(f'{COST}_projected', '.2f')}"

    def _shares(self) -> str:
        def share(*names: str) -> float:
            return sum(self._shown.get(f"timing_per_epoch/frac/{name}", 0.0) for name in names)

        play = f"env {share('env'):.0%}, inference {share('inference'):.0%}"
        if graph := share("rollout"):
            play = f"rollout {graph + share('env', 'inference'):.0%}"
        return f"{play}, learn {share('advantage', 'forward', 'backward', 'minibatch', 'optimizer'):.0%}"

    def _line(self) -> str:
        hearts = f"hearts {self._value(HEARTS)}, " if HEARTS in self._shown else ""
        cloning = f"cloning {self._value(CLONING)}, " if CLONING in self._shown else ""
        cost = f"cost {self._cost()}, " if COST in self._shown else ""
        return (
            f"epoch {self._value('metric/epoch', '.0f')}: {self._step:,.0f} steps ({self._share:.1%}), "
            f"{self._value('overview/sps', ',.0f')} steps/s, {self._left()} left, {cost}"
            f"{self._reward()}, {hearts}{cloning}"
            f"{', '.join(self._losses())} ({self._shares()})"
            + (f", evaluated {self._evaluated}" if self._evaluated else "")
            + (f", saved {self.checkpoint}" if self.checkpoint else "")
        )

    def _losses(self) -> list[str]:
        return [f"{label} {self._value(name, form)}" for name, label, form in LOSSES if name in self._shown]

    def _table(self) -> Table:
        of = f" of {self._total:,}" if self._limit.left is None else ""
        table = Table(title=f"{self._run}: {self._step:,.0f}{of} agent-steps ({self._share:.1%})")
        for column in ("progress", "", "learning", "", "team, per episode", ""):
            table.add_column(column, justify="right" if column == "" else "left")
        rows = (
            ("steps/s", self._value("overview/sps", ",.0f"), "policy loss", self._value("losses/policy_loss", ".4f"),
             "reward", self._value(SCORE) if SCORE in self._shown else "none over yet"),
            ("left", self._left(), "value loss", self._value("losses/value_loss", ".4f"),
             "reward now, per 1000 steps", self._value(SCORE_NOW)),
            ("epoch", self._value("metric/epoch", ".0f"), "entropy", self._value("losses/entropy"),
             "hearts gained", self._value(HEARTS)),
            ("saved", self.checkpoint or "–", "approx. KL", self._value("losses/approx_kl", ".4f"),
             "junctions held", self._value("env_collective/cogs/aligned.junction.held", ",.0f")),
            ("time", self._shares(), "explained variance", self._value("losses/explained_variance"),
             "episodes", self._value("overview/episodes", ".0f")),
        )  # fmt: skip
        if COST in self._shown or NPCS in self._shown:
            rows = (*rows, ("cost", self._cost(), "", "", "reward of NPCs now", self._value(NPCS, ".5f")))
        if self._evaluated:
            rows = (*rows, ("", "", "", "", "evaluated: reward on", self._evaluated))
        for row in rows:
            table.add_row(*row)
        return table
