"""Which epochs were the best by an evaluation, and which checkpoints stay for that or other reasons."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metta.common.errors import UserError
from metta.common.files import read_bytes, write_atomic
from metta.policy.stored.sources.runs import BEST, MOST_BEST_BYTES
from metta.rl.run.settings import CheckpointerSettings


@dataclass(frozen=True)
class Ranking:
    """The best epochs by a metric of evaluations, higher being better, the best first; of equal ones the earlier."""

    metric: str = ""
    entries: tuple[tuple[int, float], ...] = ()  # epoch and value

    @property
    def epochs(self) -> set[int]:
        return {epoch for epoch, _ in self.entries}

    @property
    def best(self) -> int | None:
        """The best epoch."""
        return self.entries[0][0] if self.entries else None

    def of(self, metric: str, most: int) -> "Ranking":
        """The same for that metric and at most so many; empty where the metric was another."""
        return Ranking(metric, self.entries[:most] if self.metric == metric else ())

    def entered(self, epoch: int, value: float, most: int) -> "Ranking":
        """With an evaluation, if it is among the `most` best; the same where it is not, or is no number."""
        if not math.isfinite(value):
            return self
        entries = sorted([*self.entries, (epoch, value)], key=lambda entry: (-entry[1], entry[0]))[:most]
        return Ranking(self.metric, tuple(entries))

    @classmethod
    def read(cls, told: dict[str, Any]) -> "Ranking":
        """From JSON. Raises KeyError, TypeError or ValueError for what is none."""
        return cls(str(told["metric"]), tuple((int(epoch), float(value)) for epoch, value in told["entries"]))

    def publish(self, run: Path) -> None:
        """Write the best epoch to a run's best.json, unless it says so already, or remove that where there is none."""
        path = run / BEST
        if not self.entries:
            path.unlink(missing_ok=True)
            return
        epoch, value = self.entries[0]
        text = json.dumps({"epoch": epoch, "metric": self.metric, "value": value}) + "\n"
        try:
            known = read_bytes(path, MOST_BEST_BYTES)
        except UserError:
            known = b""
        if known != text.encode():
            write_atomic(path, text)


def passing(epochs: Sequence[int], newest: int, ranking: Ranking, settings: CheckpointerSettings) -> list[int]:
    """Those of the saved epochs, ascending, that are to go now that `newest` is saved. Later ones are none of it: the
    run fell back behind them and will replace them."""
    if not settings.keep_last:
        return []
    old = [epoch for epoch in epochs if epoch <= newest][: -settings.keep_last]
    every = settings.keep_every
    return [epoch for epoch in old if epoch not in ranking.epochs and not (every and epoch % every == 0)]
