#!/usr/bin/env python3
"""Show that an episode can be had again: a digest of its result, however it is played.

Alone, in batches of 2, 8 and 64, in contests on 1 and 2 workers, and on the CUDA device or numba's simulation of one,
where a step takes a second for every agent or two.
"""

import argparse
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line
from metta.common.commands import Parser, at_least
from metta.common.digests import SHOWN, digest
from metta.common.errors import UserError
from metta.eval.contest import make_match, resolve_missions, run_contest
from metta.eval.entries import Entry
from metta.eval.line_up import LineUp
from metta.eval.playing import close_policies, play_match
from metta.eval.rows import EpisodeRow
from metta.eval.settings import ContestSettings
from metta.game.engine.backends import Backend

SEED = 1_000_003
POLICIES = ("random", "role", "cogsguard?gear=10")
BATCHES = {"alone": 1, "second of 2": 2, "fourth of 8": 8, "fourth of 64": 64}
DEVICE = "device"


def shown(row: EpisodeRow) -> str:
    return digest(row.model_dump(exclude={"replay", "fingerprint"}))[:SHOWN]


def settings(policy: str, args: argparse.Namespace, episodes: int, workers: int = 1) -> ContestSettings:
    first = SEED - min(3, episodes - 1)
    return ContestSettings(
        policies=[policy],
        cogs=args.cogs,
        steps=args.steps,
        episodes=episodes,
        seed=first,
        workers=workers,
        device="cpu",
    )


def in_a_batch(policy: str, args: argparse.Namespace, size: int, backend: Backend = "cpu") -> str:
    """The episode as one of a batch."""
    contest = settings(policy, args, size)
    (mission,), line_up = resolve_missions(contest), LineUp(contest)
    match = make_match(line_up, mission, [Entry(policy)], size, contest.seed)
    policies = line_up.build(match)
    result = play_match(match, policies, backend=backend)
    close_policies(policies)
    return shown(result.episodes[match.seeds.index(SEED)])


def in_a_contest(policy: str, args: argparse.Namespace, workers: int) -> str:
    """The episode as one of eleven, in two parts."""
    rows = run_contest(settings(policy, args, 11, workers)).matches[0].rows
    return shown(next(row for row in rows if row.episode_seed == SEED))


def on_the_device(policy: str, args: argparse.Namespace) -> str:
    """The episode alone on the device, in a process of its own: numba must know before it starts what to simulate."""
    words = [policy, "--steps", str(args.steps), "--cogs", str(args.cogs), "--only", DEVICE]
    for simulated in ("0", "1"):
        done = subprocess.run(
            [sys.executable, __file__, *words],
            env=os.environ | {"NUMBA_ENABLE_CUDASIM": simulated},
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            return done.stdout.strip() + (" (simulated)" if simulated == "1" else "")
    raise UserError(done.stderr.strip().removeprefix("error: "))


def measure(policy: str, args: argparse.Namespace) -> dict[str, str]:
    found = {name: in_a_batch(policy, args, size) for name, size in BATCHES.items()}
    found |= {f"{workers} worker{'s' * (workers > 1)}": in_a_contest(policy, args, workers) for workers in (1, 2)}
    if find_spec("numba_cuda") is not None and not args.no_device:
        found[DEVICE] = on_the_device(policy, args)
    return found


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("policies", nargs="*", default=POLICIES)
    parser.add_argument("--steps", type=at_least(1), default=20)
    parser.add_argument("--cogs", type=at_least(1), default=4)
    parser.add_argument("--no-device", action="store_true", help="not on a CUDA device, nor a simulated one")
    parser.add_argument("--only", choices=[DEVICE], help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    args = parser.parse_args(argv)
    if args.only:
        print(in_a_batch(args.policies[0], args, 1, "cuda"))
        return 0
    rows = {policy: measure(policy, args) for policy in args.policies}
    if args.json:
        print(json.dumps({"benchmark": "reproduction", "steps": args.steps, "cogs": args.cogs, "digests": rows}))
    else:
        columns = list(next(iter(rows.values())))
        print("\n".join(f"| {' | '.join(line)} |" for line in [["policy", *columns], ["---"] * (len(columns) + 1)]))
        for policy, found in rows.items():
            print(f"| {' | '.join([f'`{policy}`', *found.values()])} |")
    same = all(len({value.split()[0] for value in found.values()}) == 1 for found in rows.values())
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
