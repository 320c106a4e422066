from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from metta.eval.replay.recorder import Recorder
from metta.eval.replay.recording import Recording
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.interface import Policy
from metta.policy.stored.uri import make_policy

STEPS, ENV = 230, 1  # two key states and a bit; the environment that is recorded


@dataclass
class Recorded:
    """What was seen while an environment of three was recorded: an entry per step, that of the start first."""

    recorder: Recorder
    recording: Recording  # of that environment
    batch: EnvBatch
    actions: list[np.ndarray]
    rewards: list[np.ndarray]
    positions: list[np.ndarray]
    inventories: list[np.ndarray]
    objects: list[list[dict[str, object]]]
    teams: list[np.ndarray]
    intents: list[tuple[np.ndarray, np.ndarray, np.ndarray]]


def record(
    uri: str, steps: int = STEPS, envs: int = 3, env: int = ENV, auto_reset: bool = False, delay: float = 0.0
) -> Recorded:
    """Play the arena and record a batch, with values that count the steps."""
    mission: Mission = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=steps))
    policy: Policy = make_policy(uri, env_info(mission))
    batch = EnvBatch(mission, envs, maps=build_pool(mission, envs, 7), seed=7, auto_reset=auto_reset)
    shape = (envs, batch.num_agents)
    observations = np.zeros((*shape, batch.info.num_tokens, 3), np.uint8)
    rewards, ends = np.zeros(shape, np.float32), (np.zeros(shape, bool), np.zeros(shape, bool))
    batch.reset(observations)
    policy.reset(envs, batch.num_agents, 7)
    recorder = Recorder(batch, [(7, 7)] * envs, [uri], delay=delay)
    recorder.start(policy)
    seen = Recorded(recorder, recorder.recordings[env], batch, [], [], [], [], [], [], [])

    def note(actions: np.ndarray) -> None:
        seen.actions.append(actions[env].copy())
        seen.rewards.append(rewards[env].copy())
        seen.positions.append(batch.positions()[env])
        seen.inventories.append(batch.inventories()[env])
        seen.objects.append(batch.objects(env))
        seen.teams.append(batch.team_inventory()[env])
        if hasattr(policy, "roles"):
            seen.intents.append((policy.roles[env].copy(), policy.tasks[env].copy(), policy.targets[env].copy()))  # pyright: ignore

    note(np.zeros(shape, np.int32))
    for step in range(1, steps + 1):
        actions = policy.step(observations)
        batch.step(actions, observations, rewards, *ends)
        recorder.step(actions, rewards, np.full(shape, step / 4))
        note(actions)
    recorder.flush()
    return seen


@pytest.fixture(scope="session")
def recorded() -> Recorded:
    return record("cogsguard?gear=10")


@pytest.fixture
def replay_file(recorded: Recorded, tmp_path: Path) -> Path:
    path = tmp_path / "arena.replay"
    recorded.recording.save(path)
    return path
