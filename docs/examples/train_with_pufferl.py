#!/usr/bin/env python3
"""Train a small policy on the game with PufferLib's own trainer, through the PufferLib view of the environments.

python docs/examples/train_with_pufferl.py --steps 200_000
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch
from torch import Tensor, nn

from metta.adapters.puffer import MettaPufferEnv, make  # first: names the extra where PufferLib is missing
from metta.adapters.pufferl import load_pufferl

ENVS, HORIZON = 16, 32


class Policy(nn.Module):
    """Bytes of tokens [batch, 200, 3] to logits and values: a row for each place and feature, by its value, the sum of
    all."""

    def __init__(self, env: MettaPufferEnv, width: int = 64) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(256 * 256, width, mode="sum")
        nn.init.normal_(self.rows.weight, std=0.1)
        self.mix = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.action, self.value = nn.Linear(width, int(env.single_action_space.n)), nn.Linear(width, 1)

    def forward(self, observations: Tensor, state: object = None) -> tuple[Tensor, Tensor]:
        places, features, values = observations.long().unbind(-1)
        amounts = ((values / 8).log1p() + 0.5) * (features != 255)
        found = self.mix(self.rows(256 * places + features, per_sample_weights=amounts))
        return self.action(found), self.value(found)

    forward_eval = forward


def settings(steps: int, seed: int, folder: str) -> dict[str, object]:
    """What PuffeRL asks for."""
    return {
        "env": "cogsguard", "device": "cpu", "seed": seed, "data_dir": folder, "total_timesteps": steps,
        "batch_size": "auto", "bptt_horizon": HORIZON, "minibatch_size": 1024, "max_minibatch_size": 32768,
        "update_epochs": 2, "use_rnn": False, "cpu_offload": False, "compile": False, "precision": "float32",
        "torch_deterministic": True, "optimizer": "adam", "learning_rate": 0.001, "anneal_lr": True,
        "adam_beta1": 0.95, "adam_beta2": 0.999, "adam_eps": 1e-8, "gamma": 0.99, "gae_lambda": 0.9,
        "clip_coef": 0.2, "vf_coef": 2.0, "vf_clip_coef": 0.2, "max_grad_norm": 1.5, "ent_coef": 0.02,
        "vtrace_rho_clip": 1.0, "vtrace_c_clip": 1.0, "prio_alpha": 0.8, "prio_beta0": 0.2, "checkpoint_interval": 1000,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200_000, help="agent-steps to train for")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--folder", default="train_dir/pufferl", help="where PufferLib puts its checkpoints")
    args = parser.parse_args(argv)
    pufferl = load_pufferl()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)  # threads cost a net this small more than they bring
    env = make("cogsguard_arena.aligner_tutorial", num_envs=ENVS, seed=args.seed, max_steps=200, change_vibe=False)
    trainer = pufferl.PuffeRL(settings(args.steps, args.seed, args.folder), env, Policy(env))
    returns: list[float] = []
    while trainer.global_step < args.steps:
        known = len(trainer.stats["episode_return"])  # it forgets them only as often as it prints
        returns += trainer.evaluate()["episode_return"][known:]
        trainer.train()
    first, last = np.mean(returns[:ENVS]), np.mean(returns[-ENVS:])
    print(
        f"{trainer.global_step:,} agent-steps; mean return of the first {ENVS} episodes {first:.2f}, "
        f"of the last {ENVS} {last:.2f}"
    )
    print(f"saved as {trainer.close()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
