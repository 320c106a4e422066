#!/usr/bin/env python3
"""Cloning against PPO alone: trains both with the same steps, plays their checkpoints on unseen maps, draws a PNG."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import in_one_line, mission_of
from benchmarks.machine import machine
from metta.common.commands import Parser, at_least
from metta.common.errors import UserError
from metta.common.jsonl import last_rows
from metta.eval.episodes import metrics_by_name, play_episodes
from metta.eval.statistics import Summary, summarize
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.uri import list_versions, make_policy

ROOT = Path(__file__).parents[1]
MISSION = "docs/missions/holding.yaml"
PANELS = {"reward": "reward per cog", "env_agent/heart.gained": "hearts gained per cog"}
SEED = 2_000_000  # of the maps: training's begin at its own seed


def train(run: str, data_dir: Path, steps: int, teacher: str | None, words: list[str]) -> float:
    """Train by the real command; returns the seconds that training took. Raise UserError if it fails."""
    command = [sys.executable, "tools/run.py", "recipes.experiment.cogsguard.train", f"run={run}", f"mission={MISSION}"]
    command += ["agent=small", "trainer=tutorial", "checkpointer=all", f"trainer.total_timesteps={steps}"]
    command += [f"system.data_dir={data_dir.resolve()}", *words]
    if teacher:
        shares = "teacher_led_proportion: 0.5, student_led_proportion: 0.5"
        command.append(f'teacher={{mode: sliced_cloner, policy_uri: "{teacher}", {shares}}}')
    if subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode:
        raise UserError(f"run {run} failed; its output is above")
    return last_rows(data_dir / run / "metrics.jsonl", 1)[-1]["metric/train_time"]


def play(uri: str, mission: Mission, episodes: int) -> dict[str, Summary]:
    """The panels' metrics over episodes of a policy on unseen maps."""
    values = metrics_by_name(play_episodes(mission, make_policy(uri, env_info(mission)), episodes, SEED))
    return {name: summarize(values.get(name, [0.0] * episodes)) for name in PANELS}


def curve(folder: Path, mission: Mission, episodes: int, points: int) -> list[dict[str, Any]]:
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


def draw(curves: dict[str, list[dict[str, Any]]], teacher: dict[str, Summary], path: Path) -> None:
    """One panel per metric: a line per run, the teacher's level dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(5 * len(PANELS), 3.8))
    for axis, (metric, caption) in zip(axes, PANELS.items(), strict=True):
        axis.axhline(teacher[metric].mean, color="black", linestyle="--", linewidth=1, label="teacher")
        axis.axhline(0.6 * teacher[metric].mean, color="grey", linestyle=":", linewidth=1, label="60 % of it")
        for name, rows in curves.items():
            axis.plot([row["agent_step"] / 1e6 for row in rows], [row[metric] for row in rows], marker="o", label=name)
        axis.set(title=caption, xlabel="million agent-steps of training", ylim=(0, None))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=9)
    figure.suptitle(f"{MISSION}: episodes on maps never seen in training", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


@in_one_line
def main(argv: list[str] | None = None) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("words", nargs="*", help="key=value for both runs")
    parser.add_argument("--teacher", default="metta://policy/cogsguard?gear=10")
    parser.add_argument("--steps", type=at_least(1), default=12_000_000, help="agent-steps of each run")
    parser.add_argument("--episodes", type=at_least(1), default=5, help="per checkpoint; ten times that for the last")
    parser.add_argument("--points", type=at_least(1), default=12, help="checkpoints to play")
    parser.add_argument("--data-dir", type=Path, default=Path("train_dir"))
    parser.add_argument("--name", default="cloning", help="what the runs' names begin with; there are none such yet")
    parser.add_argument("--png", type=Path, default=ROOT / "docs/images/cloning.png")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    args = parser.parse_args(argv)
    mission = mission_of(str(ROOT / MISSION))
    seconds, curves = {}, {}
    for label, teacher in (("cloned", args.teacher), ("ppo", None)):
        run = f"{args.name}-{label}"
        seconds[label] = train(run, args.data_dir, args.steps, teacher, args.words)
        curves[label] = curve(args.data_dir / run, mission, args.episodes, args.points)
    taught = play(args.teacher, mission, 10 * args.episodes)
    draw({"cloning": curves["cloned"], "PPO alone": curves["ppo"]}, taught, args.png)
    last = {
        "teacher": {name: one.mean for name, one in taught.items()},
        **{name: rows[-1] for name, rows in curves.items()},
    }
    if args.json:
        print(json.dumps({"benchmark": "cloning", "last": last, "curves": curves, "seconds": seconds, **machine()}))
        return 0
    for name, row in last.items():
        print(f"{name:8} " + ", ".join(f"{caption} {row[metric]:.2f}" for metric, caption in PANELS.items()))
    print(f"student at {last['cloned']['reward'] / last['teacher']['reward']:.0%} of its teacher; {args.png}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
