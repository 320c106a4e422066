#!/usr/bin/env python3
"""Cloning by several nets: trains each with the same steps, plays their checkpoints on unseen maps, draws a PNG.

What is trained already is not trained again: the same command goes on where it stopped.
"""

import json
import statistics
import subprocess
import sys
from argparse import Namespace
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError, suggest
from metta.common.jsonl import last_rows
from metta.eval.episodes import metrics_by_name, play_episodes
from metta.eval.statistics import Summary, summarize
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.nets.presets import preset_names
from metta.policy.stored.uri import list_versions, make_policy

ROOT = Path(__file__).parents[1]
MISSION = "docs/missions/holding.yaml"
PANELS = {"reward": "reward per cog", "env_agent/heart.gained": "hearts gained per cog"}
SEED = 2_000_000  # of the maps: training's begin at its own seed
PPO = "ppo"  # in place of a net: the first of them, without a teacher
SHARE = 0.8  # of the teacher's level that is drawn beside it
Curve = list[dict[str, Any]]


def train(run: str, data_dir: Path, args: Namespace, net: str, seed: int) -> float:
    """Train by the real command; returns the seconds that training took. Raise UserError if it fails."""
    command = [sys.executable, "tools/run.py", "recipes.experiment.cogsguard.train", f"run={run}"]
    command += [f"mission={args.mission}", f"agent={args.nets[0] if net == PPO else net}", f"trainer={args.trainer}"]
    command += ["checkpointer=all", f"trainer.total_timesteps={args.steps}", f"system.data_dir={data_dir.resolve()}"]
    command += [f"seed={seed}", *args.words]
    if net != PPO:
        shares = "teacher_led_proportion: 0.5, student_led_proportion: 0.5"
        schedule = f"schedule: linear, from: 1, to: {args.temperature}, over: [0, {args.steps // 2}]"
        sharpness = f"kwargs: {{temperature: {{{schedule}}}}}"
        command.append(f'teacher={{mode: sliced_cloner, policy_uri: "{args.teacher}", {shares}, {sharpness}}}')
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise UserError(f"run {run} failed; its output is above")
    return last_rows(data_dir / run / "metrics.jsonl", 1)[-1]["metric/train_time"]


def play(uri: str, mission: Mission, episodes: int) -> dict[str, Summary]:
    """The panels' metrics over episodes of a policy on unseen maps."""
    values = metrics_by_name(play_episodes(mission, make_policy(uri, env_info(mission)), episodes, SEED))
    return {name: summarize(values.get(name, [0.0] * episodes)) for name in PANELS}


def curve(folder: Path, mission: Mission, episodes: int, points: int) -> Curve:
    """Agent-steps and metrics of about `points` checkpoints, the last one with ten times the episodes."""
    versions = list_versions(folder)
    chosen = versions[:: -max(1, len(versions) // points)][::-1]
    rows = []
    for version in chosen:
        played = play(str(version.folder), mission, episodes * (10 if version is chosen[-1] else 1))
        steps = json.loads((version.folder / "policy_spec.json").read_text())["agent_steps"]
        rows.append({"agent_step": steps, **{name: one.mean for name, one in played.items()}})
        rows[-1]["episodes"] = played["reward"].episodes
        rows[-1]["ci95"] = {name: one.ci95 for name, one in played.items()}
    return rows


def draw(curves: dict[str, list[Curve]], levels: dict[str, dict[str, Summary]], args: Namespace) -> None:
    """One panel per metric: a line per net, the mean of its seeds, and from the lowest to the highest of their
    intervals; teachers' levels dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(6 * len(PANELS), 4.8))
    for axis, (metric, caption) in zip(axes, PANELS.items(), strict=True):
        for style, (name, level) in zip(("--", "-."), levels.items(), strict=False):
            axis.axhline(level[metric].mean, color="black", linestyle=style, linewidth=1, label=name)
        (taught, *_) = levels.values()
        axis.axhline(SHARE * taught[metric].mean, color="grey", linestyle=":", linewidth=1, label=f"{SHARE:.0%} of it")
        for net, runs in curves.items():
            points = [*zip(*runs, strict=False)]  # of the seeds at the same step
            steps = [point[0]["agent_step"] / 1e6 for point in points]
            means = [statistics.mean(row[metric] for row in point) for point in points]
            bounds = [[row["ci95"][metric] or [row[metric]] * 2 for row in point] for point in points]
            (line,) = axis.plot(steps, means, marker="o", markersize=4, label=f"{net} (seeds: {len(runs)})")
            low, high = (
                [pick(pair[side] for pair in point) for point in bounds] for side, pick in ((0, min), (1, max))
            )
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.15)
        axis.set(title=caption, xlabel="million agent-steps of training", ylim=(0, None))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=3, fontsize=8)
    figure.suptitle(f"{args.mission}: episodes on maps never seen in training, 95 % intervals", fontsize=11)
    figure.tight_layout(rect=(0, 0.12, 1, 1))
    args.png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.png, dpi=110)


def check_nets(nets: list[str]) -> None:
    known = (*preset_names(), PPO)
    for net in nets:
        if net not in known:
            raise UserError(f"--nets: no net '{net}'{suggest(net, known)}; there are {', '.join(known)}")


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("words", nargs="*", help="key=value for all runs")
    parser.add_argument("--nets", nargs="+", default=["map"], help=f"presets; {PPO}: the first without a teacher")
    parser.add_argument("--seeds", type=at_least(1), default=1, help="runs of each net")
    parser.add_argument("--teacher", default="metta://policy/cogsguard?aligner=10&shared=false&load=3")
    parser.add_argument("--temperature", type=float, default=2.5, help="of the cloner, at half of the training")
    parser.add_argument("--level", default="metta://policy/cogsguard?gear=10", help="another policy to compare with")
    parser.add_argument("--mission", default=MISSION)
    parser.add_argument("--trainer", default="cloning", help="file of configs/trainer")
    parser.add_argument("--steps", type=at_least(1), default=12_000_000, help="agent-steps of each run")
    parser.add_argument("--episodes", type=at_least(1), default=5, help="per checkpoint; ten times that for the last")
    parser.add_argument("--points", type=at_least(1), default=12, help="checkpoints to play")
    parser.add_argument("--data-dir", type=Path, default=Path("train_dir"))
    parser.add_argument("--name", default="cloning", help="what the runs' names begin with")
    parser.add_argument("--png", type=Path, default=ROOT / "docs/images/cloning.png")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_intermixed_args(argv)
    check_nets(args.nets)
    mission = mission_of(str(ROOT / args.mission) if args.mission == MISSION else args.mission)
    seconds: dict[str, list[float]] = {net: [] for net in args.nets}
    curves: dict[str, list[Curve]] = {net: [] for net in args.nets}
    for net, seed in product(args.nets, range(1, args.seeds + 1)):
        run = f"{args.name}-{net}-{seed}"
        seconds[net].append(train(run, args.data_dir, args, net, seed))
        curves[net].append(curve(args.data_dir / run, mission, args.episodes, args.points))
    levels = {uri.rpartition("/")[2]: play(uri, mission, 10 * args.episodes) for uri in (args.teacher, args.level)}
    draw(curves, levels, args)
    last = {name: {metric: one.mean for metric, one in level.items()} for name, level in levels.items()}
    ends = {net: [rows[-1] for rows in runs] for net, runs in curves.items()}
    if args.json:
        print(
            json.dumps(
                {"benchmark": "cloning", "last": {**last, **ends}, "curves": curves, "seconds": seconds} | machine()
            )
        )
        return 0
    report(last, ends, seconds)
    print(args.png)
    return 0


def report(levels: dict[str, dict[str, float]], ends: dict[str, Curve], seconds: dict[str, list[float]]) -> None:
    """Print how the last checkpoints play, and their share of what the policies beside them get."""
    for name, row in levels.items():
        print(f"{name}: " + ", ".join(f"{caption} {row[metric]:.2f}" for metric, caption in PANELS.items()))
    for net, rows in ends.items():
        for seed, (row, time) in enumerate(zip(rows, seconds[net], strict=True), 1):
            interval = row["ci95"]["reward"]
            told = f"{net}, seed {seed}: reward per cog {row['reward']:.2f}"
            told += f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
            shares = [f"{row['reward'] / level['reward']:.0%} of {name}" for name, level in levels.items()]
            print(f"{told}, {', '.join(shares)}, {row['agent_step']:,} agent-steps in {time / 60:.1f} min")


if __name__ == "__main__":
    sys.exit(main())
