"""What a person sees of a run: a live table in a terminal, a plain line now and then elsewhere."""

import re
import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from metta.common.logging import note
from metta.rl.run.metrics import Metrics

PLAIN_SECONDS = 5.0
HEARTS = "overview/heart_count"
COST = "monitor/cost"
NPCS = "dual_policy/npc_reward"
EVALUATED = re.compile(r"eval_([^/]+)/reward")
CLONING = "losses/supervised_action_loss"
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

    def __init__(self, run: str, total_steps: int, console: Console | None = None, plain: bool = False) -> None:
        self._console = console or Console(file=sys.stdout)
        self._run, self._total = run, total_steps
        self._live = (
            Live(console=self._console, auto_refresh=False) if self._console.is_terminal and not plain else None
        )
        self._shown: Metrics = {}
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

    def _eta(self) -> str:
        rate = self._shown.get("timing_cumulative/sps") or 0
        left = self._total - self._shown.get("metric/agent_step", 0)
        if not rate:
            return "–"
        minutes, seconds = divmod(int(max(0, left) / rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s"

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
        step = self._shown.get("metric/agent_step", 0)
        hearts = f"hearts {self._value(HEARTS)}, " if HEARTS in self._shown else ""
        cloning = f"cloning {self._value(CLONING)}, " if CLONING in self._shown else ""
        cost = f"cost {self._cost()}, " if COST in self._shown else ""
        return (
            f"epoch {self._value('metric/epoch', '.0f')}: {step:,.0f} steps ({min(1, step / self._total):.1%}), "
            f"{self._value('overview/sps', ',.0f')} steps/s, {self._eta()} left, {cost}"
            f"reward {self._value('overview/reward')}, {hearts}{cloning}"
            f"{', '.join(self._losses())} ({self._shares()})"
            + (f", evaluated {self._evaluated}" if self._evaluated else "")
            + (f", saved {self.checkpoint}" if self.checkpoint else "")
        )

    def _losses(self) -> list[str]:
        return [f"{label} {self._value(name, form)}" for name, label, form in LOSSES if name in self._shown]

    def _table(self) -> Table:
        step = self._shown.get("metric/agent_step", 0)
        table = Table(
            title=f"{self._run}: {step:,.0f} of {self._total:,} agent-steps ({min(1, step / self._total):.1%})"
        )
        for column in ("progress", "", "learning", "", "team, per episode", ""):
            table.add_column(column, justify="right" if column == "" else "left")
        rows = (
            ("steps/s", self._value("overview/sps", ",.0f"), "policy loss", self._value("losses/policy_loss", ".4f"),
             "reward", self._value("overview/reward")),
            ("left", self._eta(), "value loss", self._value("losses/value_loss", ".4f"),
             "reward now, per 1000 steps", self._value("overview/reward_per_1000_steps")),
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
