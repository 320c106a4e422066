"""Learning that has gone wrong without a number that shows it by being infinite: told once, and in metrics.

Two signs, each beyond what learning well can show. *Values out of reach*: the critic expects far more than the largest
reward seen could add up to. *Sure and no better*: next to no entropy is left, and the policy earns no more, per step or
per episode, than when it tried most, or values are out of reach. One that has found out what to do is as sure, but
earns more. A sign is told anew only after it had gone.
"""

import math
from collections.abc import Container, Iterable
from typing import Any

from metta.common.jsonl import is_number
from metta.common.logging import warn
from metta.rl.learning.divergence import SMALLER_STEPS
from metta.rl.run.metrics import EPOCH, SCORE, Metrics

SURE, TRYING = 1e-3, 0.1  # entropy as a share of a uniform choice's: none left; some
GAIN = 0.05  # what is more than noise, as a share of what was earned
OUT_OF_REACH = 10.0  # times what rewards can add up to; a new network may be beyond it a little
LONGEST = 1e4  # steps over which rewards add up at a discount of 1
ENTROPY, REWARD = "experience/entropy", "experience/rewards"
VALUES, PEAK, LOSS = "experience/values_abs", "experience/rewards_abs_max", "losses/value_loss"


class CollapseWatch:
    """Looks at the metrics of epoch after epoch."""

    def __init__(self, run: str, actions: int, gamma: float, losses: Container[str]) -> None:
        """`actions` to choose from. Without PPO's actor among the losses a policy may be sure of what it was taught,
        without a critic values mean nothing."""
        self._run, self._uniform = run, math.log(actions)
        self._actor, self._critic = "ppo_actor" in losses and actions > 1, "ppo_critic" in losses
        self._horizon = min(LONGEST, 1 / max(1 - gamma, 1 / LONGEST))
        self._peak = 0.0
        self._most = 0.0  # entropy, as a share
        self._then: dict[str, float] = {}  # what was earned at that time
        self._told: set[str] = set()

    def recall(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take in what the run has reported before, without a word."""
        for line in lines:
            self._look({name: value for name, value in line.items() if is_number(value)})

    def __call__(self, metrics: Metrics) -> Metrics:
        """What is to be reported beside an epoch's metrics; warns where a sign comes up."""
        found, told = self._look(metrics)
        for sign in told:
            warn(f"run={self._run}: epoch {metrics[EPOCH]:.0f}: {sign}; {SMALLER_STEPS}")
        return found

    def _look(self, metrics: Metrics) -> tuple[Metrics, list[str]]:
        """What is to be reported, and the signs that are to be told."""
        found: Metrics = {}
        told = []
        beyond = 0.0
        if self._critic and VALUES in metrics:
            self._peak = max(self._peak, metrics.get(PEAK, 0.0))
            reach = max(1.0, self._peak * self._horizon)
            found["collapse/values"] = beyond = metrics[VALUES] / reach
            if self._news("values", beyond > OUT_OF_REACH, gone=beyond < 1):
                loss = f" ({LOSS} {metrics[LOSS]:.3g})" if LOSS in metrics else ""
                told.append(
                    f"the critic has lost its way{loss}: it expects {metrics[VALUES]:.3g}, where rewards of at most "
                    f"{self._peak:.3g} cannot add up to more than {reach:.3g}"
                )
        if self._actor and ENTROPY in metrics:
            found["collapse/entropy"] = share = max(0.0, metrics[ENTROPY] / self._uniform)
            self._remember(share, metrics)
            better = any(
                metrics[name] > earned + GAIN * abs(earned) for name, earned in self._then.items() if name in metrics
            )
            fine = better and beyond < 1
            if self._news("entropy", share < SURE and self._most > TRYING and not fine, gone=fine or share > TRYING):
                why = "its values are out of reach" if better else "it earns no more than when it tried most"
                told.append(f"the policy has collapsed: its entropy is {share:.2g} of a uniform choice's, and {why}")
        return {**found, "collapse/signs": len(self._told)}, told

    def _remember(self, share: float, metrics: Metrics) -> None:
        """What is earned while trying most; the first return of an episode counts as late as it comes."""
        if share > self._most:
            self._most, self._then = share, {}
        for name in (REWARD, SCORE):
            if name in metrics and self._most > TRYING:
                self._then.setdefault(name, metrics[name])

    def _news(self, sign: str, there: bool, *, gone: bool) -> bool:
        """Whether a sign is to be told: it is there, and was not before or had gone."""
        if there and sign not in self._told:
            self._told.add(sign)
            return True
        if gone:
            self._told.discard(sign)
        return False
