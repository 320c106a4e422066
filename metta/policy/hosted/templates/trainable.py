"""A policy with a net of your own: trained by imitating another policy, then played with its weights.

    python my_policy.py                       # trains, writes my_policy.safetensors
    cogames scrimmage -p class=my_policy.MyPolicy,data=my_policy.safetensors

Change the net, the teacher or the way it learns; what plays needs only `reset`, `step`, `end_episodes` and `load`.
"""

import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.missions import load_mission
from metta.game.observation import env_info
from metta.policy.stored.uri import make_policy

MISSION, TEACHER = "cogsguard_arena.basic", "role"
STEPS, ENVS, SEED = 1_000, 16, 0
HIDDEN = 64


class Net(nn.Module):
    """Tokens uint8 [n, 200, 3], each (place, feature, value) -> logits of the actions [n, actions]."""

    def __init__(self, info) -> None:
        super().__init__()
        self.places, self.features = nn.Embedding(256, HIDDEN), nn.Embedding(256, HIDDEN)
        self.values = nn.Embedding(256, HIDDEN)
        self.head = nn.Sequential(nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, len(info.action_names)))

    def forward(self, tokens: Tensor) -> Tensor:
        there = tokens[..., 0] != 255  # what is not is padding behind the last token
        place, feature, value = tokens[:, : int(there.sum(-1).max())].long().unbind(-1)
        each = torch.relu(self.places(place) + self.features(feature) + self.values(value))
        return self.head(each.masked_fill((place == 255).unsqueeze(-1), 0).amax(-2))


class MyPolicy:
    """Plays all agents of all environments at once with one net."""

    def __init__(self, info) -> None:
        self.net = Net(info).eval()
        self.generator = torch.Generator()

    def load(self, path: str) -> None:
        """The file that `data=` names."""
        self.net.load_state_dict(load_file(path))

    def reset(self, num_envs: int, num_agents: int, seed: int) -> None:
        """Forget everything; a net with memory would make room for it here."""
        self.generator.manual_seed(seed)

    @torch.inference_mode()
    def step(self, observations: np.ndarray) -> np.ndarray:
        """Tokens uint8 [envs, agents, 200, 3] -> action ids [envs, agents]."""
        envs, agents = observations.shape[:2]
        logits = self.net(torch.from_numpy(observations).flatten(0, 1))
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=self.generator)
        return drawn.view(envs, agents).numpy()

    def end_episodes(self, ended: np.ndarray) -> None:
        """Environments marked in bool [envs] begin a new episode; a net with memory would forget theirs here."""


def train(steps: int) -> None:
    """Let the net play and learn in every situation that it gets into what the teacher does there."""
    torch.manual_seed(SEED)
    mission = load_mission(MISSION)
    info = env_info(mission)
    batch = EnvBatch(mission, ENVS, maps=build_pool(mission, ENVS, SEED), seed=SEED)
    shape = (ENVS, batch.num_agents)
    observations = np.zeros((*shape, info.num_tokens, 3), np.uint8)
    rewards, terminals, truncations = np.zeros(shape, np.float32), np.zeros(shape, bool), np.zeros(shape, bool)
    teacher, student = make_policy(TEACHER, info), MyPolicy(info)
    optimizer = torch.optim.Adam(student.net.parameters(), lr=1e-3)
    batch.reset(observations)
    teacher.reset(*shape, SEED)
    student.reset(*shape, SEED)
    for step in range(steps):
        wanted = teacher.step(observations)
        tokens = torch.from_numpy(observations).flatten(0, 1)
        loss = nn.functional.cross_entropy(student.net(tokens), torch.from_numpy(wanted).long().flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step:,}: loss {loss.item():.3f}")
        leads = np.random.default_rng(step).random((ENVS, 1)) < 0.5  # in half of them the teacher acts, in half the net
        batch.step(np.where(leads, wanted, student.step(observations)), observations, rewards, terminals, truncations)
        teacher.end_episodes((terminals | truncations)[:, 0])
    save_file(student.net.state_dict(), "my_policy.safetensors")


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else STEPS)
