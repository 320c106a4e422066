#!/usr/bin/env python3
"""What the questions to other processes cost a run that has none: the share of its time, by question."""

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, training
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.rl.trainer import train
from metta.rl.world import World

QUESTIONS = ("own", "sum", "largest", "gather", "gather_rows", "draw", "gather_objects", "any", "of_leader", "wait")
SPENT: dict[str, float] = defaultdict(float)  # seconds
TIMES: dict[str, int] = defaultdict(int)


class Timed(World):
    """A world that counts its answers and the seconds they take, those to another within one too."""


def timed(name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(answer)
    def ask(*args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        try:
            return answer(*args, **kwargs)
        finally:
            SPENT[name] += time.perf_counter() - begin
            TIMES[name] += 1

    return ask


for name in QUESTIONS:
    setattr(Timed, name, timed(name, getattr(World, name)))


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--policy", default="lstm")
    parser.add_argument("--envs", type=at_least(1), default=64)
    parser.add_argument("--epochs", type=at_least(1), default=10)
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    batch = args.envs * 8 * 64
    words = [f"trainer.batch_size={batch}", f"trainer.total_timesteps={batch * args.epochs}", "cmd=train"]
    words += [f"training_env.num_envs={args.envs}", f"agent={args.policy}", "mission=cogsguard_arena.basic"]
    with tempfile.TemporaryDirectory() as folder:
        config = training([*words, "run=world", "system.device=cpu", "system.threads=1", f"system.data_dir={folder}"])
        begin = time.perf_counter()
        train(config, world=Timed())
    seconds = time.perf_counter() - begin
    share = sum(SPENT.values()) / seconds
    if args.json:
        told = {"benchmark": "world_cost", "share": share, "seconds": seconds, "questions": TIMES}
        print(json.dumps(told | machine()))
        return 0
    for name, spent in sorted(SPENT.items(), key=lambda item: -item[1]):
        print(f"{name}: {TIMES[name]:,} times, {1e3 * spent:.2f} ms")
    print(f"{share:.3%} of {seconds:.1f} s, {args.epochs} epochs of {batch:,} agent-steps by {args.policy}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
