#!/usr/bin/env python3
"""Train a small policy on the game with TorchRL's PPO, through the PettingZoo view: one network for the whole team.

python docs/examples/train_with_torchrl.py --steps 50_000
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torch.distributions import Categorical
from torchrl.collectors import Collector
from torchrl.envs import PettingZooWrapper, RewardSum, TransformedEnv, check_env_specs
from torchrl.modules import ProbabilisticActor, ValueOperator
from torchrl.objectives import ClipPPOLoss, ValueEstimators

from metta.adapters.pettingzoo import make

GROUP = "agent"  # TorchRL's name for all of agent_0, agent_1, …


class Tokens(nn.Module):
    """Bytes of tokens [..., 200, 3] to features: a row for each place and feature, by its value, the sum of all."""

    def __init__(self, outputs: int, width: int = 64) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(256 * 256, width, mode="sum")
        nn.init.normal_(self.rows.weight, std=0.1)
        self.mix = nn.Sequential(nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, observations: Tensor) -> Tensor:
        places, features, values = observations.long().flatten(0, -3).unbind(-1)
        amounts = ((values / 8).log1p() + 0.5) * (features != 255)
        found = self.mix(self.rows(256 * places + features, per_sample_weights=amounts))
        return found.unflatten(0, observations.shape[:-2])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50_000, help="agent-steps")
    parser.add_argument("--mission", default="cogsguard_arena.aligner_tutorial")
    parser.add_argument("--max-steps", type=int, default=200, help="of an episode, in env-steps")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("train_dir"))
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    game = make(mission=args.mission, seed=args.seed, max_steps=args.max_steps)
    agents = len(game.possible_agents)
    base = PettingZooWrapper(game, group_map={GROUP: game.possible_agents}, return_state=False, use_mask=False)
    keys = {"reward": (GROUP, "reward"), "action": (GROUP, "action"), "done": (GROUP, "done")}
    env = TransformedEnv(base, RewardSum(in_keys=[keys["reward"]], out_keys=[(GROUP, "episode_reward")]))
    check_env_specs(env)
    choices = game.action_space(game.possible_agents[0]).n
    observation = (GROUP, "observation")
    actor = ProbabilisticActor(
        TensorDictModule(Tokens(int(choices)), [observation], [(GROUP, "logits")]),
        in_keys=[(GROUP, "logits")],
        out_keys=[keys["action"]],
        spec=env.full_action_spec,
        distribution_class=Categorical,
        return_log_prob=True,
        log_prob_key=(GROUP, "log_prob"),
    )
    critic = ValueOperator(Tokens(1), in_keys=[observation], out_keys=[(GROUP, "state_value")])
    loss = ClipPPOLoss(actor, critic, clip_epsilon=0.2, entropy_coeff=0.02, normalize_advantage=True)
    loss.set_keys(
        **keys, terminated=(GROUP, "terminated"), value=(GROUP, "state_value"), sample_log_prob=(GROUP, "log_prob")
    )
    loss.make_value_estimator(ValueEstimators.GAE, gamma=0.99, lmbda=0.95)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    batch = 2 * args.max_steps
    collector = Collector(env, actor, frames_per_batch=batch, total_frames=-(-args.steps // agents // batch) * batch)
    steps, finished = 0, []
    for data in collector:
        for _ in range(2):
            with torch.no_grad():
                loss.value_estimator(
                    data, params=loss.critic_network_params, target_params=loss.target_critic_network_params
                )
            for part in data[torch.randperm(len(data))].split(100):
                told = loss(part)
                optimizer.zero_grad()
                (told["loss_objective"] + told["loss_critic"] + told["loss_entropy"]).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 1.0)
                optimizer.step()
        steps += data.numel() * agents
        ends = data["next", GROUP, "done"].squeeze(-1)
        finished += data["next", GROUP, "episode_reward"].squeeze(-1)[ends].tolist()
        latest = finished[-40:]
        mean = sum(latest) / len(latest) if latest else float("nan")
        print(f"{steps:,} agent-steps, reward {mean:.3f} per agent and episode")
    args.folder.mkdir(parents=True, exist_ok=True)
    torch.save(actor.state_dict(), args.folder / "torchrl.pt")
    print(f"saved as {args.folder / 'torchrl.pt'}")


if __name__ == "__main__":
    main()
