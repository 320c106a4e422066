#!/usr/bin/env python3
"""`make train`: train the aligner tutorial for about five minutes, show the curve, compare the result with chance."""

import sys
from pathlib import Path

from bootstrap import ensure_packages

RUN = "first"
MISSION = "cogsguard_arena.aligner_tutorial"
EPISODES, SEED = 20, 1_000_000
CURVES = ("overview/reward", "env_agent/junction.aligned_by_agent", "env_agent/heart.gained")
NEXT = f"""What to try next:
  watch it            ./tools/run.py cogsguard.play run={RUN} mission={MISSION}
  train on            make train STEPS=20_000_000   (continues this run)
  the whole game      ./tools/run.py recipes.experiment.cogsguard.train run=my-first
  another role        ./tools/run.py cogsguard.tutorial run=scout role=scout
  all recipes         ./tools/run.py --list"""


def main(words: list[str]) -> int:
    from metta.config.runner import run

    code = run(["recipes.experiment.cogsguard.tutorial", f"run={RUN}", "role=aligner", *words])
    return code or report(Path("train_dir") / RUN)


def report(folder: Path) -> int:
    """Curve, table and comparison with the random policy on the same maps."""
    from rich.console import Console

    from metta.eval.curves import curve_table, plot_curves, points, read_curves

    console = Console()
    rows = read_curves(folder / "metrics.jsonl")
    picture = folder / "curve.png"
    plot_curves({metric: {RUN: points(rows, metric)} for metric in CURVES}, f"{RUN}: {MISSION}", picture)
    console.print(curve_table(rows, CURVES))
    print(f"the curve as a picture: {picture}\n")
    compare(folder)
    print(f"\n{NEXT}")
    return 0


def compare(folder: Path) -> None:
    """Junctions aligned per episode by the trained policy and by chance, with 95 % intervals."""
    from metta.eval.contest import make_round, play_contest
    from metta.eval.entries import Entry
    from metta.game.mission import MissionSettings
    from metta.game.missions import build_mission
    from metta.rl.settings import PlayerSettings

    mission = build_mission(MissionSettings(name=MISSION))
    print(f"{EPISODES} episodes on maps never seen in training (seeds {SEED} to {SEED + EPISODES - 1}):")
    for uri in (str(folder), "random"):
        contest = play_contest([make_round(mission, (Entry(uri),), EPISODES, SEED)], PlayerSettings())
        results = contest.rounds[0].metrics()
        aligned, reward = results["env_agent/junction.aligned_by_agent"], results["reward"]
        low, high = (bound * mission.agents for bound in aligned.ci95 if bound is not None)
        print(
            f"  {'trained' if uri != 'random' else uri:8} {aligned.mean * mission.agents:6.2f} junctions aligned per "
            f"episode ({low:.2f} to {high:.2f}), reward {reward.mean:.2f} per cog"
        )


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main(sys.argv[1:]))
