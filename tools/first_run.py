#!/usr/bin/env python3
"""`make train`: train the aligner tutorial for some minutes, show the curve, compare the result with chance."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

RUN = "first"
MISSION = "cogsguard_arena.aligner_tutorial"
# Time ends it, on any machine: no number of steps does, nor does the learning rate wait for one.
USUAL = (
    "agent=map",
    "trainer.max_minutes=5",
    "trainer.total_timesteps=1_000_000_000_000",
    "trainer.optimizer.anneal_lr=false",
)
RATE = "timing_cumulative/sps"
MEASURED = 6_600  # agent-steps/s, as docs/benchmarks.md tells of the first run
ALIGNED = "junction.aligned_by_agent"
EPISODES = 20
CURVES = ("overview/reward", "env_agent/junction.aligned_by_agent", "env_agent/heart.gained")
NEXT = f"""What to try next:
  train on            make train MINUTES=10   (goes on with this run)
  watch it            ./tools/run.py cogsguard.play run={RUN}
  the whole game      ./tools/run.py recipes.experiment.cogsguard.curriculum run=whole small=true
  another role        ./tools/run.py cogsguard.tutorial run=scout role=scout
  all recipes         ./tools/run.py --list
  short commands      . .venv/bin/activate   (once in each new shell), then   cogames --help"""


def main(words: list[str]) -> int:
    from metta.config.runner import run

    code = run(["recipes.experiment.cogsguard.tutorial", f"run={RUN}", "role=aligner", *USUAL, *words])
    return code or report(Path("train_dir") / RUN)


def report(folder: Path) -> int:
    """Curve, pace, and comparison with the random policy on the same maps."""
    from rich.console import Console

    from metta.eval.curves import curve_table, plot_curves, points, read_curves

    console = Console()
    rows = read_curves(folder / "metrics.jsonl")
    picture = folder / "curve.png"
    plot_curves({metric: {RUN: points(rows, metric)} for metric in CURVES}, f"{RUN}: {MISSION}", picture)
    console.print(curve_table(rows, CURVES))
    print(f"the curve as a picture: {picture}")
    print(f"{rows[-1][RATE]:,.0f} agent-steps/s; two idle cores, as docs/benchmarks.md tells, have {MEASURED:,}\n")
    compare(folder)
    print(f"\n{NEXT}")
    return 0


def compare(folder: Path) -> None:
    """Junctions aligned and reward of the trained policy and by chance, and the gain by pairs of episodes."""
    from metta.common.defaults import SEED
    from metta.eval.contest import make_match, play_contest, prepare
    from metta.eval.entries import Entry
    from metta.eval.settings import PlayerSettings
    from metta.eval.statistics import as_cells, paired, summarize
    from metta.game.mission import MissionSettings
    from metta.game.missions import build_mission

    mission = build_mission(MissionSettings(name=MISSION))
    settings = PlayerSettings()
    line_up = prepare(settings)
    entries = [Entry(str(folder)), Entry("random")]
    matches = [make_match(line_up, mission, [entry], EPISODES, SEED) for entry in entries]
    contest = play_contest(matches, line_up, settings)
    if contest.interrupted:
        raise KeyboardInterrupt
    print(
        f"{EPISODES} episodes on maps never seen in training (seeds {SEED} to {SEED + EPISODES - 1}), 95 % intervals:"
    )
    for what, value in (
        ("junctions aligned per episode", lambda row: sum(row.agent.get(ALIGNED, []))),
        ("reward per cog and episode", lambda row: row.score),
    ):
        trained, random = ({row.seed: value(row) for row in result.rows} for result in contest.matches)
        found = {"trained": summarize([*trained.values()]), "random": summarize([*random.values()])}
        print(f"  {what}")
        for name, summary in (found | {"gain": paired(trained, random)}).items():
            mean, interval = as_cells(summary)
            print(f"    {name:8} {mean:>6} ({interval})")


if __name__ == "__main__":
    ensure_packages()
    from metta.common.commands import guarded

    sys.exit(guarded(lambda: main(sys.argv[1:])))
