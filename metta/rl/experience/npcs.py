"""Frozen policies among the learning agents: who is who in each episode, and what the frozen ones do.

Only learning agents have a slot in the experience: slot k of an environment belongs to the k-th agent that learns in
its present episode, and nothing of an NPC is ever stored there. Who learns changes only where an episode ends, where
memory begins anew in any case.
"""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from metta.common.logging import note
from metta.common.seeds import derive
from metta.game.engine.batch import Episode
from metta.game.engine.random import environment_keys, episode_draws
from metta.game.observation import EnvInfo
from metta.policy.interface import Info, Policy, Resumable, reset_part
from metta.policy.nets.interface import PolicyNet, State
from metta.policy.neural import NeuralPolicy
from metta.policy.sampling import sample_actions
from metta.rl.experience.environments import Environments
from metta.rl.experience.npc_pool import METRIC, Npc, NpcPool
from metta.rl.learning.precision import fast_precision
from metta.rl.run.metrics import Metrics
from metta.rl.world import ALONE, World


@dataclass(frozen=True)
class Group:
    """NPCs of all environments that follow the same policy."""

    npc: Npc
    agents: Tensor  # int64 [n] among all agents
    seats: Tensor  # int64 [n] among all NPCs


@dataclass(frozen=True)
class Met:
    """A whole episode as those who learned had it."""

    episode: Episode
    npc: int  # index
    rewards: tuple[float, float] | None  # mean returns per agent of both sides, where there are two


class Npcs:
    """In each environment the same number of agents learns, drawn per episode with the NPC that plays the others. Who
    is who follows from the seed and the numbers of environment and episode.

    A net sees all its NPCs as one batch, without gradients, in half precision on CUDA. Its memory lies in a buffer that
    nets of the same shapes share. Other policies see every environment's NPCs as a team of their own, or where there
    are several teams, whose members they know by their numbers, all agents; they see every step, whoever plays.
    """

    def __init__(
        self,
        pool: NpcPool,
        env: Environments,
        learners: int,
        seed: int,
        actions: torch.Generator,
        world: World = ALONE,
    ) -> None:
        """`actions` is the nets', where they run."""
        self.pool, self.learners, self._world = pool, learners, world
        self._count_episodes = lambda: torch.from_numpy(env.episode_numbers())
        self._envs, self._agents, self._device = env.num_envs, env.num_agents, actions.device
        self._npcs = self._agents - learners
        self._see_all = teams(env.info) > 1
        self._actions, self._precision = actions, fast_precision(actions.device)
        self._seed = derive(seed, "policies")
        self._part = world.own(self._envs * world.size)
        self._keys = environment_keys(derive(seed, "casts"), self._envs, self._part.start)
        # Of each environment's present episode: its agents, those who learn first, and the index of the NPC.
        self._roles = torch.zeros(self._envs, self._agents, dtype=torch.int64)
        self._against = torch.zeros(self._envs, dtype=torch.int64)
        self._memory: dict[str, State] = {}  # of nets, by shape, [NPCs, ...]
        self._others: dict[str, Policy] = {}  # that have begun, by name
        self.start()

    def start(self) -> None:
        """New episodes begin everywhere."""
        self._uncast = True  # the first batch casts, once the league is known
        self._numbers = torch.zeros(self._envs, dtype=torch.int64)  # of the environments' present episodes
        self._memory.clear()
        self._others.clear()
        self._forget_batch()

    def begin(self, epoch: int) -> Metrics:
        """A batch begins after that many epochs."""
        own = [] if self._uncast else self._against.unique().tolist()
        playing = set(chain.from_iterable(self._world.gather_objects(own)))
        metrics = self.pool.begin(epoch, playing, self._world)
        for npc in self.pool.at_hand:
            if npc.name not in self._others and not isinstance(npc.policy, NeuralPolicy):
                self._start(npc)
        self._forget_batch()
        if self._uncast:
            self._uncast = False
            self._numbers = self._count_episodes()
            self._cast(torch.arange(self._envs))
        return metrics

    def _forget_batch(self) -> None:
        # Sums over the batch: learning agents, NPCs.
        self._rewards = torch.zeros(2, dtype=torch.float64, device=self._device)
        # Roles and NPC of the episodes that ended, by environment and number.
        self._played: dict[tuple[int, int], tuple[np.ndarray, int]] = {}

    def pick(self, part: Tensor) -> Tensor:
        """Those who learn, [slots, ...], of [agents, ...]."""
        return part.index_select(0, self._rows[part.device.type])

    def slots(self, agents: Tensor) -> Tensor:
        """Slots of agents in the experience, int64 [n]; -1 for an NPC."""
        rows = self._rows[agents.device.type]
        found = torch.full((self._envs * self._agents,), -1, device=agents.device)
        found[rows] = torch.arange(len(rows), device=agents.device)
        return found[agents]

    def join(self, executed: Tensor, observations: Tensor) -> Tensor:
        """Actions of all agents, [agents], given those of the learning ones and what all see."""
        actions = executed.new_empty(len(observations))
        actions[self._rows[self._device.type]] = executed
        draws, answers = self._world.draw(len(observations), self._actions), self._ask_others(observations)
        for group in self._groups:
            if isinstance(group.npc.policy, NeuralPolicy):
                actions[group.agents] = self._act(group, group.npc.policy.net, observations, draws)
            else:
                actions[group.agents] = answers[group.npc.name][group.agents if self._see_all else group.seats]
        return actions

    def _act(self, group: Group, net: PolicyNet, observations: Tensor, draws: Tensor) -> Tensor:
        """What a net's NPCs do, int64 [n]; `draws` are uniform in [0, 1), one for each agent."""
        shapes = _shapes(net)
        if shapes not in self._memory:
            self._memory[shapes] = net.initial_state(self._envs * self._npcs)
        memory, alone = self._memory[shapes], len(self._groups) == 1
        state = memory if alone else tuple(part.index_select(0, group.seats) for part in memory)
        output, after = self._precision.act(net, observations.index_select(0, group.agents), state)
        if alone:
            self._memory[shapes] = after
        else:
            for part, new in zip(memory, after, strict=True):
                part.index_copy_(0, group.seats, new)
        return sample_actions(output.logits, draws.index_select(0, group.agents))[0]

    def _ask_others(self, observations: Tensor) -> dict[str, Tensor]:
        """What each policy at hand that sees NPCs as teams would have them do, int64 [agents or NPCs]."""
        names = [npc.name for npc in self.pool.at_hand if npc.name in self._others]
        if not names:
            return {}
        seen = observations if self._see_all else observations[self._npc_rows]
        seen = seen.cpu().view(self._envs, -1, *seen.shape[1:]).numpy()
        answers = {name: torch.from_numpy(self._others[name].step(seen).reshape(-1)) for name in names}
        return {name: answer.to(self._device, torch.int64) for name, answer in answers.items()}

    def _start(self, npc: Npc) -> Policy:
        members = self._agents if self._see_all else self._npcs
        every = self._envs * self._world.size
        reset_part(npc.policy, self._part, every, members, derive(self._seed, npc.name))
        self._others[npc.name] = npc.policy
        return npc.policy

    def end_step(self, rewards: Tensor, ended: Tensor) -> None:
        """A step brought these rewards and, bool, ends of episodes, both [agents]; in new ones others may learn."""
        rewards = rewards.double()
        sides = [self.pick(rewards).sum(), rewards.index_select(0, self._npc_rows).sum()]
        self._rewards += torch.stack(sides)
        over = ended.view(self._envs, self._agents).all(-1)
        if bool(over.any()):
            self.end_episodes(over)

    def end_episodes(self, over: Tensor) -> None:
        """The episodes of environments marked in bool [envs] ended; others may learn in the next ones."""
        over = over.cpu()
        envs = over.nonzero().squeeze(-1)
        episodes = zip((envs + self._part.start).tolist(), self._numbers[envs].tolist(), strict=True)
        casts = zip(self._roles[envs].numpy(), self._against[envs].tolist(), strict=True)
        self._played.update(zip(episodes, casts, strict=True))
        self._numbers[envs] += 1
        for policy in self._others.values():
            policy.end_episodes(over.numpy())
        self._cast(envs)
        self._forget(over.to(self._device).repeat_interleave(self._npcs))

    def _forget(self, seats: Tensor) -> None:
        """Let nets begin anew at marked seats, bool [NPCs], which they have now."""
        for group in self._groups:
            policy = group.npc.policy
            if isinstance(policy, NeuralPolicy) and (memory := self._memory.get(_shapes(policy.net))):
                own = tuple(part.index_select(0, group.seats) for part in memory)
                for part, new in zip(memory, policy.net.reset(own, seats[group.seats]), strict=True):
                    part.index_copy_(0, group.seats, new)

    def _cast(self, envs: Tensor) -> None:
        """Draw for the present episode of environments, int64 [n], who learns and who plays the others."""
        draws = episode_draws(self._keys[envs.numpy()], self._numbers[envs].numpy(), self._agents + 1)
        order = torch.from_numpy(draws[:, :-1].argsort(-1, kind="stable"))
        for side in order.split([self.learners, self._npcs], dim=-1):
            side.copy_(side.sort(-1).values)
        self._roles[envs] = order
        self._against[envs] = torch.from_numpy(self.pool.choose(draws[:, -1]))
        self._group()

    def _group(self) -> None:
        """Find the rows of both sides and of each NPC."""
        agents = self._roles + self._agents * torch.arange(self._envs).unsqueeze(-1)
        learners, npcs = (side.flatten() for side in agents.split([self.learners, self._npcs], dim=-1))
        self._rows = {"cpu": learners, self._device.type: learners.to(self._device)}
        self._npc_rows = npcs.to(self._device)
        indices, counts = self._against.unique(return_counts=True)
        seats = self._against.repeat_interleave(self._npcs).argsort(stable=True).split((self._npcs * counts).tolist())
        self._groups = [
            Group(self.pool[index], npcs[own].to(self._device), own.to(self._device))
            for index, own in zip(indices.tolist(), seats, strict=True)
            if len(own)
        ]

    def report(
        self, episodes: list[Episode], is_whole: Callable[[Episode], bool], agent_steps: int
    ) -> tuple[list[Episode], Metrics]:
        """The whole ones of the episodes that ended in a batch of that many learned agent-steps, those of all processes
        by environment and number, as those who learned in them had it, and what is reported of both sides.

        `episodes` are this process's own.
        """
        own = [self._met(episode) for episode in episodes if is_whole(episode)]
        every = sorted(
            chain.from_iterable(self._world.gather_objects(own)), key=lambda met: (met.episode.env, met.episode.number)
        )
        by_npc: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for met in every:
            if met.rewards:
                self.pool.count(met.npc, *met.rewards)
                by_npc[met.npc].append(met.rewards)
        metrics = {**self._reward_metrics(agent_steps), **self._npc_metrics(by_npc)}
        return [met.episode for met in every], metrics

    def _met(self, episode: Episode) -> Met:
        """An episode of this process's environments as those who learned had it."""
        roles, npc = self._played[episode.env, episode.number]
        learners, npcs = roles[: self.learners], roles[self.learners :]
        rewards = (float(episode.returns[learners].mean()), float(episode.returns[npcs].mean())) if len(npcs) else None
        own = {name: values[learners] for name, values in episode.agent.items()}
        return Met(replace(episode, returns=episode.returns[learners], agent=own), npc, rewards)

    def _reward_metrics(self, agent_steps: int) -> Metrics:
        """Rewards of the batch: totals, and means per agent and step."""
        npc_steps, envs = agent_steps * self._npcs // self.learners, self._envs * self._world.size
        own, npc = self._world.sum(self._rewards.clone()).tolist()
        return {
            "dual_policy/policy_a_reward": own / agent_steps,
            "dual_policy/policy_a_reward_total": own,
            "dual_policy/npc_reward": npc / max(npc_steps, 1),
            "dual_policy/npc_reward_total": npc,
            "dual_policy/combined_reward": (own + npc) / (agent_steps + npc_steps),
            "dual_policy/combined_reward_total": own + npc,
            "dual_policy/policy_a_agent_count": envs * self.learners,
            "dual_policy/npc_agent_count": envs * self._npcs,
            "dual_policy/npc_agent_steps": npc_steps,
        }

    def _npc_metrics(self, met: dict[int, list[tuple[float, float]]]) -> Metrics:
        """Mean returns per agent of the episodes that ended, and what is known of each NPC met so far."""
        metrics: Metrics = {}
        for index, rewards in met.items():
            name = f"{METRIC}/{self.pool[index].name}"
            own, npc = np.mean(rewards, axis=0).tolist()
            metrics |= {f"{name}/policy_a_reward": own, f"{name}/npc_reward": npc, f"{name}/new_episodes": len(rewards)}
        for name, record in self.pool.records.items():
            metrics |= {f"{METRIC}/{name}/episodes": record.episodes, f"{METRIC}/{name}/win_rate": record.win_rate}
        return metrics

    def state_dict(self) -> dict[str, Tensor]:
        text = json.dumps({**self.pool.state_dict(), "begun": list(self._others)}).encode()
        return {
            "opponents": torch.frombuffer(bytearray(text), dtype=torch.uint8),
            "roles": self._roles,
            "against": self._against,
            **{f"memory.{key}.{i}": part for key, state in self._memory.items() for i, part in enumerate(state)},
            **{
                f"policy.{name}.{key}": torch.from_numpy(part)
                for name, policy in self._others.items()
                if isinstance(policy, Resumable)
                for key, part in policy.state_dict().items()
            },
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.start()
        self._uncast = False
        self._numbers = self._count_episodes()
        numbers = json.loads(state["opponents"].numpy().tobytes())
        self.pool.load_state_dict(numbers)
        self._roles, self._against = state["roles"].clone(), state["against"].clone()
        parts: dict[str, list[Tensor]] = defaultdict(list)
        for name in sorted(name for name in state if name.startswith("memory.")):
            parts[name.removeprefix("memory.").rpartition(".")[0]].append(state[name].to(self._device))
        self._memory = {key: tuple(found) for key, found in parts.items()}
        self._group()
        for npc in self.pool.at_hand:
            if npc.name in numbers["begun"]:
                self._restore(npc, state)

    def _restore(self, npc: Npc, state: dict[str, Tensor]) -> None:
        """Let a policy that is no net go on, with a line and without memory where it cannot save that."""
        policy, prefix = self._start(npc), f"policy.{npc.name}."
        if isinstance(policy, Resumable):
            saved = {name.removeprefix(prefix): part for name, part in state.items() if name.startswith(prefix)}
            policy.load_state_dict({name: part.numpy() for name, part in saved.items()})
        else:
            note(f"NPC {npc.name}: its memory was not saved and starts empty")


def _shapes(net: PolicyNet) -> str:
    """Types and shapes of a net's state."""
    return " ".join(f"{part.dtype} {tuple(part.shape[1:])}" for part in net.initial_state(1))


def teams(info: Info) -> int:
    """Teams of agents in an environment; each has a hub."""
    return max(1, sum(tag.endswith(":hub") for tag in info.tags)) if isinstance(info, EnvInfo) else 1
