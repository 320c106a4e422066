#!/usr/bin/env python3
"""Train a small policy on the game with PPO of stable-baselines3, one network for all agents of all environments.

python docs/examples/train_with_sb3.py --steps 300_000
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from gymnasium.spaces import Space
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import VecEnv, VecMonitor
from torch import Tensor, nn

from metta.adapters.gymnasium import MettaVectorEnv, make


class Slots(VecEnv):
    """A vector environment of Gymnasium, whose next episodes begin within the step that ends one, as
    stable-baselines3 sees it."""

    def __init__(self, env: MettaVectorEnv) -> None:
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.env = env

    def reset(self) -> np.ndarray:
        return self.env.reset(seed=self._seeds[0])[0].copy()

    def step_async(self, actions: np.ndarray) -> None:
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observations, rewards, terminals, truncations, told = self.env.step(self.actions)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        ends = terminals | truncations
        for slot in np.flatnonzero(ends):
            cut = bool(truncations[slot] and not terminals[slot])
            infos[slot] = {"terminal_observation": told["final_obs"][slot], "TimeLimit.truncated": cut}
        return observations.copy(), rewards.copy(), ends, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self.env, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError("slots have no settings of their own")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError("slots have no methods of their own")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class Tokens(BaseFeaturesExtractor):
    """Bytes of tokens [batch, 200, 3] to features: a row for each place and feature, by its value, the sum of all."""

    def __init__(self, space: Space, width: int = 64) -> None:
        super().__init__(space, width)
        self.rows = nn.EmbeddingBag(256 * 256, width, mode="sum")
        nn.init.normal_(self.rows.weight, std=0.1)
        self.mix = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        places, features, values = observations.long().unbind(-1)
        amounts = (values / 8).log1p() + 0.5
        return self.mix(self.rows(256 * places + features, per_sample_weights=amounts * (features != 255)))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300_000, help="agent-steps")
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--mission", default="cogsguard_arena.aligner_tutorial")
    parser.add_argument("--max-steps", type=int, default=200, help="of an episode, in env-steps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("train_dir"))
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    env = make(mission=args.mission, num_envs=args.envs, seed=args.seed, max_steps=args.max_steps)
    model = PPO(
        "MlpPolicy",
        VecMonitor(Slots(env)),
        n_steps=64,
        batch_size=1024,
        n_epochs=2,
        learning_rate=1e-3,
        ent_coef=0.02,
        gamma=0.99,
        policy_kwargs={"features_extractor_class": Tokens, "net_arch": []},
        seed=args.seed,
        device="cpu",
        verbose=1,
    )
    model.learn(args.steps, log_interval=10)
    args.folder.mkdir(parents=True, exist_ok=True)
    model.save(args.folder / "sb3.zip")
    rewards = [episode["r"] for episode in model.ep_info_buffer or []]
    told = (
        f"reward {np.mean(rewards):.3f} per agent and episode of the last {len(rewards)}" if rewards else "no episode"
    )
    print(f"{model.num_timesteps:,} agent-steps, {told}, saved as {args.folder / 'sb3.zip'}")


if __name__ == "__main__":
    main()
