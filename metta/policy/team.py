"""Several policies that share the agents of an environment, as one policy."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from metta.common.errors import UserError
from metta.common.seeds import derive, each_seed
from metta.policy.interface import Advice, Adviser, Policy, begin_episodes, tells

UNKNOWN = -1  # role and task of an agent whose policy does not tell
NOWHERE = -(1 << 20)  # row and column of its target


def share_out(proportions: Sequence[float], places: int) -> list[int]:
    """How many of `places` each of the proportions gets, by largest remainder; every one at least one.

    Raises UserError for more proportions than places.
    """
    if len(proportions) > places:
        raise UserError(f"{len(proportions)} policies cannot share {places} agents: each needs one at least")
    quotas = np.asarray(proportions, np.float64) / sum(proportions) * places
    counts = np.maximum(1, np.floor(quotas)).astype(int)
    while counts.sum() < places:
        counts[np.argmax(quotas - counts)] += 1
    while counts.sum() > places:  # the minimum of one took too many: from whom has most above its quota
        counts[np.argmax(np.where(counts > 1, counts - quotas, -np.inf))] -= 1
    return counts.tolist()


def draw_seats(counts: Sequence[int], blocks: Sequence[Sequence[int]], seed: int) -> np.ndarray:
    """The policy of each agent in the episode of a seed, int [agents]; `counts` and `blocks` as of TeamPolicy."""
    drawn = []
    for index, block in enumerate(blocks):
        policy_of = np.repeat(block, [counts[policy] for policy in block])
        which = ("seats",) if len(blocks) == 1 else ("seats", index)
        drawn.append(policy_of if len(block) == 1 else _shuffled(policy_of, derive(seed, *which)))
    return np.concatenate(drawn)


class TeamPolicy:
    """Each policy plays its number of agents; which ones they are is drawn anew for every episode. In a game of teams a
    policy may have its agents in one of them.

    Tells what the policies tell that name roles and tasks as the first one that tells does.
    """

    role_names: tuple[str, ...] = ()
    task_names: tuple[str, ...] = ()

    def __init__(
        self,
        policies: Sequence[Policy],
        counts: Sequence[int],
        blocks: Sequence[Sequence[int]] = (),
        forgiving: bool = False,
        seconds: Sequence[float | None] = (),
    ) -> None:
        """`counts` are the agents of each policy; their sum is the number of agents. `blocks` are the policies that
        share each run of consecutive agents, as those of a team; by default all share all. With `forgiving` a policy
        that raises stands still from then on, and the others go on; so does one whose answers together take longer than
        its `seconds`, if it has any."""
        self.policies, self.counts = tuple(policies), tuple(counts)
        self.failed: dict[int, Exception] = {}  # by number of the policy: why it stands still
        self.still = [0] * len(self.counts)  # agent-steps for which each has stood still
        self._forgiving = forgiving
        self._seconds = list(seconds) or [None] * len(self.counts)
        self._spent = [0.0] * len(self.counts)
        self._blocks = [list(block) for block in blocks or [range(len(self.counts))]]
        self.name = " + ".join(policy.name for policy in policies)
        self.seats = np.zeros((0, sum(counts)), np.int64)  # policy of each agent, [envs, agents]
        self._places: list[np.ndarray] = []
        self._heard: dict[str, np.ndarray] = {}  # what policies tell of the last step
        self._advice: list[Advice | None] = [None] * len(self.policies)
        self._advisers = [policy if isinstance(policy, Adviser) else None for policy in self.policies]
        teller = next((policy for policy in self.policies if tells(policy)), None)
        if teller:
            self.role_names, self.task_names = teller.role_names, teller.task_names
        names = self.role_names, self.task_names
        self._tellers = [
            policy if tells(policy) and (policy.role_names, policy.task_names) == names else None
            for policy in self.policies
        ]

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        self.reset_each(num_agents, each_seed(seed, num_envs))

    def reset_each(self, num_agents: int, seeds: Sequence[int]) -> None:
        self._heard.clear()
        self.seats = np.stack([draw_seats(self.counts, self._blocks, seed) for seed in seeds])
        self._rows = np.arange(len(seeds))[:, None]
        self._places = [
            np.nonzero(self.seats == index)[1].reshape(len(seeds), count) for index, count in enumerate(self.counts)
        ]
        for index, policy in enumerate(self.policies):
            own = seeds if index == 0 else [derive(seed, "policy", index) for seed in seeds]
            with self._forgiven(index):
                begin_episodes(policy, self.counts[index], own)

    @contextmanager
    def _forgiven(self, index: int) -> Iterator[None]:
        """What a policy raises in here makes it stand still, if that is forgiven."""
        try:
            yield
        except Exception as error:
            if not self._forgiving:
                raise
            self.failed[index] = error

    @contextmanager
    def _timed(self, index: int) -> Iterator[None]:
        """Raises UserError before a policy acts that has taken more than its time."""
        most = self._seconds[index]
        if most is not None and self._spent[index] > most:
            raise UserError(f"the {most:g} s that it has for a match are spent")
        start = time.monotonic()
        yield
        self._spent[index] += time.monotonic() - start

    def step(self, observations: np.ndarray) -> np.ndarray:
        self._heard.clear()
        if len(self.policies) == 1:
            return self._ask(0, observations)
        actions = np.zeros(observations.shape[:2], np.int32)
        for index, places in enumerate(self._places):
            actions[self._rows, places] = self._ask(index, observations[self._rows, places])
        return actions

    def _ask(self, index: int, observations: np.ndarray) -> np.ndarray:
        if index not in self.failed:
            with self._forgiven(index), self._timed(index):
                if adviser := self._advisers[index]:
                    advice = self._advice[index] = adviser.advise(observations)
                    return advice.actions
                return self.policies[index].step(observations)
        self._advice[index] = None
        actions = np.zeros(observations.shape[:2], np.int32)
        self.still[index] += actions.size
        return actions

    @property
    def values(self) -> np.ndarray | None:
        """Values of the last observations, float32 [envs, agents], NaN where a policy has none; None if all have."""
        if not any(self._advice):
            return None
        values = np.full(self.seats.shape, np.nan, np.float32)
        for advice, places in zip(self._advice, self._places, strict=True):
            if advice is not None:
                np.put_along_axis(values, places, advice.values.float().cpu().numpy().reshape(places.shape), 1)
        return values

    @property
    def roles(self) -> np.ndarray:
        return self._told("roles", UNKNOWN)

    @property
    def tasks(self) -> np.ndarray:
        return self._told("tasks", UNKNOWN)

    @property
    def targets(self) -> np.ndarray:
        return self._told("targets", NOWHERE, 2)

    def _told(self, what: str, missing: int, *width: int) -> np.ndarray:
        """What the policies tell, int32 [envs, agents, *width]; asked once a step, however many want to know."""
        if what not in self._heard:
            told = self._heard[what] = np.full((*self.seats.shape, *width), missing, np.int32)
            rows = self._rows
            for teller, places in zip(self._tellers, self._places, strict=True):
                if teller:
                    told[rows, places] = getattr(teller, what)
        return self._heard[what]

    def end_episodes(self, ended: np.ndarray) -> None:
        for index, policy in enumerate(self.policies):
            if index not in self.failed:
                with self._forgiven(index):
                    policy.end_episodes(ended)


def _shuffled(values: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(values)
