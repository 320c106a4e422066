"""The teacher while experience is collected: it watches every step, leads some segments and labels others."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.seeds import derive
from metta.policy.interface import Advice, Adviser, Info, Policy, Resumable, reset_part
from metta.policy.machine_settings import MachineSettings
from metta.policy.stored.uri import make_policy
from metta.rl.experience.environments import Environments
from metta.rl.experience.labels import NO_LABEL, PPO, TEACHER_LED, Labels, choose_slices
from metta.rl.experience.teacher_settings import EerSettings, Teaching
from metta.rl.learning.losses.eer import teacher_rewards
from metta.rl.run.metrics import Metrics
from metta.rl.world import ALONE, World

NEVER = -1e4  # log-probability of an action that the teacher does not have


class Turn(NamedTuple):
    """One step of some agents: what they do, and what is stored of it; all [agents]."""

    executed: Tensor  # int64: given to the environments
    actions: Tensor  # int64
    log_probs: Tensor


class Teacher:
    """A policy that plays along in all environments until it has faded out; it thinks beside the student's inference.

    It is built for the student's actions. One that takes other actions of the environment all the same is obeyed where
    it leads; such steps have no label.
    """

    def __init__(
        self,
        policy: Policy,
        teaching: Teaching,
        env: Environments,
        agents: int,
        actions: int,
        labels: Labels,
        generator: torch.Generator,
        seed: int,
        world: World = ALONE,
    ) -> None:
        """`agents` of each environment learn; `actions` are those of the student; `generator` draws the slices."""
        self._world = world
        self.policy, self.teaching, self.labels = policy, teaching, labels
        self._env, self._agents, self._actions, self._most = env, agents, actions, len(env.info.action_names)
        self._generator, self._seed = generator, derive(seed, "teacher")
        self._active, self._warned = True, False
        self._thread = ThreadPoolExecutor(1, "teacher")
        self._answer: Future[Advice | np.ndarray] = Future()

    def reset(self) -> None:
        """New episodes begin everywhere."""
        every = self._env.num_envs * self._world.size
        reset_part(self.policy, self._world.own(every), every, self._agents, self._seed)

    def begin(self, agent_steps: int) -> Metrics:
        """Draw who leads in the coming batch, after that many agent-steps of training."""
        teacher_led, student_led = self.teaching.shares(agent_steps)
        strength = self.teaching.strength(agent_steps)
        self._active = teacher_led + student_led > 0
        labels = self.labels
        learners = self._env.num_envs * self._agents
        drawn = self._world.draw(learners, self._generator, rounds=len(labels.slices) // learners)
        labels.slices.copy_(choose_slices(drawn, teacher_led, student_led))
        labels.ppo_mask.copy_(self._ppo_mask(labels))
        labels.strength.fill_(strength)
        labels.ratios.fill_(1)
        return {
            "hyperparameters/teacher_led_proportion": teacher_led,
            "hyperparameters/student_led_proportion": student_led,
            "hyperparameters/teacher_strength": strength if self._active else 0.0,
        }

    def _ppo_mask(self, labels: Labels) -> Tensor:
        """Bool [segments]."""
        if not self.teaching.mode.ppo:
            return torch.zeros_like(labels.ppo_mask)
        if self.teaching.ppo_sees_everything:
            return torch.ones_like(labels.ppo_mask)
        return labels.slices == PPO if self.teaching.mode.sliced else labels.slices != TEACHER_LED

    def think(self, observations: Tensor) -> None:
        """Start on the observations [agents, ...] of a step; they must stay until `lead`."""
        if self._active:
            on_host = self._by_env(observations)
            ask = self.policy.advise if self.teaching.mode.neural else self.policy.step  # pyright: ignore
            self._answer = self._thread.submit(ask, on_host)

    def lead(self, step: int, columns: slice, logits: Tensor, own: Turn) -> Turn:
        """Decide a step of the segments in `columns`, given the student's logits and what it would do."""
        if not self._active:
            return own
        answer, labels = self._answer.result(), self.labels
        if isinstance(answer, Advice):
            self._keep(step, columns, answer)
            answer = answer.actions
        beyond = self._actions_beyond(answer)
        taught = torch.from_numpy(answer.reshape(-1)).to(logits.device, torch.int64)
        known = taught.masked_fill(taught >= self._actions, 0) if beyond else taught
        labels.actions[step, columns] = taught.masked_fill(taught >= self._actions, NO_LABEL) if beyond else taught
        led = labels.teacher_led_mask[columns]
        probability = logits.softmax(-1).gather(-1, known.unsqueeze(-1)).squeeze(-1)
        labels.ratios[step, columns] = torch.where(led, probability, 1.0)
        return Turn(
            executed=torch.where(led, taught, own.executed),
            actions=torch.where(led, known, own.actions),
            log_probs=own.log_probs.masked_fill(led, 0),
        )

    def _keep(self, step: int, columns: slice, advice: Advice) -> None:
        """Store the distribution and values of a neural teacher."""
        log_probs, values = self.labels.log_probs, self.labels.values
        assert log_probs is not None and values is not None
        known = advice.log_probs.shape[-1]
        log_probs[step, columns, :known] = advice.log_probs
        log_probs[step, columns, known:] = NEVER
        values[step, columns] = advice.values

    def _actions_beyond(self, taken: np.ndarray) -> bool:
        """Whether there are actions beyond the student's. Raise UserError where that cannot be."""
        highest = int(taken.max())
        if highest < self._actions:
            return False
        if highest >= self._most:
            raise UserError(f"teacher {self.policy.name}: action {highest}, but there are only {self._most}")
        name, option = self._env.info.action_names[highest], "training_env.vibe_actions=true"
        if self.teaching.ppo_sees_everything:
            raise UserError(
                f"teacher {self.policy.name} takes an action that the trained policy has not ({name}), and PPO would "
                f"learn from it (restrict_ppo_to_ppo_mask=false); {option} lets it"
            )
        if not self._warned:
            self._warned = True
            warn(f"teacher {self.policy.name}: {name} is no action of the trained policy, not cloned; {option} lets it")
        return True

    def end_episodes(self, ended: Tensor) -> None:
        """The episodes of agents marked in bool [agents] ended."""
        if self._active and (over := self._by_env(ended)).any():
            self.policy.end_episodes(np.logical_and.reduce(over, axis=-1))

    def _by_env(self, part: Tensor) -> np.ndarray:
        """From [agents, ...], wherever it is, to [envs, agents, ...] on the host."""
        return part.cpu().view(self._env.num_envs, self._agents, *part.shape[1:]).numpy()

    def finish(self, rewards: Tensor, actions: Tensor) -> None:
        """Add the teacher's rewards for a full batch of stored actions, both [time, segments]."""
        if isinstance(self.teaching.loss, EerSettings):
            rewards += teacher_rewards(self.labels, actions, self._actions, self.teaching.loss)

    def state_dict(self) -> dict[str, Tensor]:
        if not isinstance(self.policy, Resumable):
            return {}
        state = {f"policy.{name}": torch.from_numpy(part) for name, part in self.policy.state_dict().items()}
        return {"name": self._name(), **state}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`; with a line and without memory where that is not this teacher's."""
        self.reset()
        if "name" in state and torch.equal(state["name"], self._name()) and isinstance(self.policy, Resumable):
            saved = {name.removeprefix("policy."): part for name, part in state.items() if name != "name"}
            self.policy.load_state_dict({name: part.numpy() for name, part in saved.items()})
        else:
            note(f"teacher {self.policy.name}: its memory was not saved and starts empty")

    def _name(self) -> Tensor:
        """Which teacher this is, as bytes."""
        text = f"{self.teaching.policy_uri} {self.policy.name}"
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def close(self) -> None:
        self._thread.shutdown()


def find_teacher(teaching: Teaching, info: Info, machine: MachineSettings, device: torch.device) -> Policy:
    """The policy that teaches students for which `info` holds.

    Raise UserError where there is none such or it cannot teach in that mode.
    """
    teaching.check_learned_from()
    uri, trust_pickle, trust_code = teaching.policy_uri, machine.trust_pickle, machine.trust_code
    policy = make_policy(uri, info, machine.data_dir, device, trust_pickle=trust_pickle, trust_code=trust_code)
    if teaching.mode.neural and not isinstance(policy, Adviser):
        raise UserError(
            f"teacher.mode={teaching.mode_name} needs a trained policy, with probabilities; {uri} only "
            "acts: teacher.mode=sliced_cloner, sliced_cloner_no_ppo, supervisor or eer_cloner learn from it"
        )
    return policy
