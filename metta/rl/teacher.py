"""The teacher while experience is collected: it watches every step, leads some segments and labels others."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.seeds import derive
from metta.policy.interface import Advice, Adviser, Info, Policy, Resumable
from metta.policy.uri import make_policy
from metta.rl.environments import Environments
from metta.rl.lessons import NO_LABEL, PPO, TEACHER_LED, Lessons, draw_slices
from metta.rl.losses.eer import teacher_rewards
from metta.rl.metrics import Metrics
from metta.rl.settings import MachineSettings
from metta.rl.teaching import EerSettings, Teaching

NEVER = -1e4  # log-probability of an action that the teacher does not have


class Turn(NamedTuple):
    """One step of some agents: what they do, and what is stored of it; all [agents]."""

    executed: Tensor  # int64: given to the environments
    actions: Tensor  # int64
    log_probs: Tensor


class Guide(Protocol):
    """What a rollout asks of a teacher, or of its absence."""

    def reset(self) -> None:
        """New episodes begin everywhere."""
        ...

    def begin(self, agent_steps: int) -> Metrics:
        """Draw who leads in the coming batch, after that many agent-steps of training."""
        ...

    def think(self, observations: Tensor) -> None:
        """Start on the observations [agents, ...] of a step; they must stay until `lead`."""
        ...

    def lead(self, step: int, columns: slice, logits: Tensor, own: Turn) -> Turn:
        """Decide a step of the segments in `columns`, given the student's logits and what it would do."""
        ...

    def end_episodes(self, ended: Tensor) -> None:
        """The episodes of agents marked in bool [agents] ended."""
        ...

    def finish(self, rewards: Tensor, actions: Tensor) -> None:
        """Add the teacher's rewards for a full batch of stored actions, both [time, segments]."""
        ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...

    def close(self) -> None: ...


class NoTeacher:
    """The student acts alone."""

    def reset(self) -> None:
        return

    def begin(self, agent_steps: int) -> Metrics:
        return {}

    def think(self, observations: Tensor) -> None:
        return

    def lead(self, step: int, columns: slice, logits: Tensor, own: Turn) -> Turn:
        return own

    def end_episodes(self, ended: Tensor) -> None:
        return

    def finish(self, rewards: Tensor, actions: Tensor) -> None:
        return

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        return

    def close(self) -> None:
        return


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
        lessons: Lessons,
        generator: torch.Generator,
        seed: int,
    ) -> None:
        """`agents` of each environment learn; `actions` are those of the student; `generator` draws the slices."""
        self.policy, self.teaching, self.lessons = policy, teaching, lessons
        self._env, self._agents, self._actions, self._most = env, agents, actions, len(env.info.action_names)
        self._generator, self._seed = generator, derive(seed, "teacher")
        self._active, self._warned = True, False
        self._thread = ThreadPoolExecutor(1, "teacher")
        self._answer: Future[Advice | np.ndarray] = Future()

    def reset(self) -> None:
        self.policy.reset(self._env.num_envs, self._agents, self._seed)

    def begin(self, agent_steps: int) -> Metrics:
        teacher_led, student_led = self.teaching.shares(agent_steps)
        strength = self.teaching.strength(agent_steps)
        self._active = teacher_led + student_led > 0
        lessons = self.lessons
        lessons.slices.copy_(draw_slices(len(lessons.slices), teacher_led, student_led, self._generator))
        lessons.seen.copy_(self._seen_by_ppo(lessons))
        lessons.strength.fill_(strength)
        lessons.temperature.fill_(self.teaching.temperature(agent_steps))
        lessons.ratios.fill_(1)
        return {
            "hyperparameters/teacher_led_proportion": teacher_led,
            "hyperparameters/student_led_proportion": student_led,
            "hyperparameters/teacher_strength": strength if self._active else 0.0,
        }

    def _seen_by_ppo(self, lessons: Lessons) -> Tensor:
        """Bool [segments]."""
        if not self.teaching.mode.ppo:
            return torch.zeros_like(lessons.seen)
        if self.teaching.ppo_sees_everything:
            return torch.ones_like(lessons.seen)
        return lessons.slices == PPO if self.teaching.mode.sliced else lessons.slices != TEACHER_LED

    def think(self, observations: Tensor) -> None:
        if self._active:
            on_host = self._by_env(observations)
            ask = self.policy.advise if self.teaching.mode.neural else self.policy.step  # pyright: ignore
            self._answer = self._thread.submit(ask, on_host)

    def lead(self, step: int, columns: slice, logits: Tensor, own: Turn) -> Turn:
        if not self._active:
            return own
        answer, lessons = self._answer.result(), self.lessons
        if isinstance(answer, Advice):
            self._keep(step, columns, answer)
            answer = answer.actions
        beyond = self._actions_beyond(answer)
        taught = torch.from_numpy(answer.reshape(-1)).to(logits.device, torch.int64)
        known = taught.masked_fill(taught >= self._actions, 0) if beyond else taught
        lessons.labels[step, columns] = taught.masked_fill(taught >= self._actions, NO_LABEL) if beyond else taught
        led = lessons.led[columns]
        probability = logits.softmax(-1).gather(-1, known.unsqueeze(-1)).squeeze(-1)
        lessons.ratios[step, columns] = torch.where(led, probability, 1.0)
        return Turn(
            executed=torch.where(led, taught, own.executed),
            actions=torch.where(led, known, own.actions),
            log_probs=own.log_probs.masked_fill(led, 0),
        )

    def _keep(self, step: int, columns: slice, advice: Advice) -> None:
        """Store the distribution and values of a neural teacher."""
        log_probs, values = self.lessons.log_probs, self.lessons.values
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
        if self._active and (over := self._by_env(ended)).any():
            self.policy.end_episodes(np.logical_and.reduce(over, axis=-1))

    def _by_env(self, part: Tensor) -> np.ndarray:
        """From [agents, ...], wherever it is, to [envs, agents, ...] on the host."""
        return part.cpu().view(self._env.num_envs, self._agents, *part.shape[1:]).numpy()

    def finish(self, rewards: Tensor, actions: Tensor) -> None:
        if isinstance(self.teaching.loss, EerSettings):
            rewards += teacher_rewards(self.lessons, actions, self._actions, self.teaching.loss)

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
    if teaching.mode.sliced and not (teaching.loss.teacher_led_proportion or teaching.loss.student_led_proportion):
        raise UserError(
            f"teacher.mode={teaching.mode_name}: teacher.teacher_led_proportion and teacher.student_led_proportion are "
            "both 0, nothing would be learned from the teacher; 0.5 and 0.5 are a good start"
        )
    uri, trust = teaching.policy_uri, {"trust_pickle": machine.trust_pickle, "trust_code": machine.trust_code}
    policy = make_policy(uri, info, machine.data_dir, device, **trust)
    if teaching.mode.neural and not isinstance(policy, Adviser):
        raise UserError(
            f"teacher.mode={teaching.mode_name} needs a trained policy, with probabilities; {uri} only "
            "acts: teacher.mode=sliced_cloner, sliced_cloner_no_ppo, supervisor or eer_cloner learn from it"
        )
    return policy
