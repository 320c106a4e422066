#!/usr/bin/env python3
"""Two trainings in turns on one core, an epoch each, in processor time: what one net, or one version, gains on another.

The other one is a preset, `plain` (the components of vit in plain PyTorch, benchmarks/plain.py), or the folder of
another checkout of this project.
"""

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import plain
from benchmarks.command import in_one_line
from benchmarks.machine import machine
from benchmarks.original import Child, one_core
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError, suggest
from metta.policy.nets.presets import preset_names

ROOT = Path(__file__).parents[1]


class Training(Child):
    """A training in a program of its own, which stands still between epochs; each answer is a row of an epoch: agent-
    steps per second of processor time, and the net's parameters."""

    what = "a training"

    def __init__(self, words: Sequence[str], checkout: Path) -> None:
        command = [sys.executable, str(Path(__file__).with_name("train_child.py")), *words]
        super().__init__(command, {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}, checkout)


def words_of(args: Any, policy: Sequence[str]) -> list[str]:
    batch = args.envs * args.agents * args.horizon
    return [
        *policy,
        "run=turns",
        *(f"mission={args.mission}", f"mission.cogs={args.agents}"),
        *(f"trainer.total_timesteps={batch * 10_000}", f"trainer.batch_size={batch}"),
        *(f"trainer.minibatch_size={args.minibatch or min(batch, 16_384)}", f"trainer.bptt_horizon={args.horizon}"),
        *(f"training_env.num_envs={args.envs}", "training_env.num_workers=1", "training_env.map_pool=64"),
        *("checkpointer.epoch_interval=1_000_000", "device=cpu", "system.threads=1"),
    ]


def other_side(against: str, policy: str) -> tuple[Sequence[str], Path]:
    """Words and checkout of what `--against` names. Raises UserError for what is none."""
    if against == "plain":
        return plain.WORDS, ROOT
    if against in preset_names():
        return [f"agent={against}"], ROOT
    if (Path(against) / "metta" / "rl").is_dir():
        return [f"agent={policy}"], Path(against).resolve()
    known = ["plain", *preset_names()]
    raise UserError(f"--against {against}: neither a net{suggest(against, known)} nor the folder of a checkout")


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policy", default="vit", help="network, as the word agent= names it")
    parser.add_argument("--against", default="plain", help="a network, plain, or the folder of another checkout")
    parser.add_argument("--mission", default="cogsguard_arena.basic")
    parser.add_argument("--agents", type=at_least(1), default=8, help="cogs per environment")
    parser.add_argument("--envs", type=at_least(1), default=32)
    parser.add_argument("--horizon", type=at_least(1), default=64, help="steps per segment")
    parser.add_argument("--minibatch", type=at_least(1), help="agent-steps per gradient step (default: 16,384)")
    parser.add_argument("--pairs", type=at_least(1), default=5, help="epochs of each that count")
    parser.add_argument("--warmup", type=at_least(0), default=1, help="epochs before that")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    words, checkout = other_side(args.against, args.policy)
    with (
        one_core(),
        Training(words_of(args, [f"agent={args.policy}"]), ROOT) as ours,
        Training(words_of(args, words), checkout) as theirs,
    ):
        rows = [(ours.said, theirs.said)]
        rows += [(ours.ask(), theirs.ask()) for _ in range(args.warmup + args.pairs - 1)]
    rows = rows[args.warmup :]
    ratios = [mine["rate"] / other["rate"] for mine, other in rows]
    sides = [
        {"agent_steps_per_second": round(statistics.median(row[side]["rate"] for row in rows)), **rows[0][side]}
        for side in (0, 1)
    ]
    result = {
        "benchmark": "train_turns",
        "policy": args.policy,
        "against": args.against,
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "rates": [side["agent_steps_per_second"] for side in sides],
        "parameters": [side["parameters"] for side in sides],
        **{key: getattr(args, key) for key in ("mission", "agents", "envs", "horizon")},
        **machine(),
    }
    if args.json:
        print(json.dumps(result))
        return 0
    told = [f"{rate:,} ({size:,} parameters)" for rate, size in zip(result["rates"], result["parameters"], strict=True)]
    print(
        f"{args.policy} against {args.against}, agent-steps per second of processor time: {told[0]} against {told[1]}; "
        f"ratio {result['ratio']} ({result['lowest']} to {result['highest']})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
