#!/usr/bin/env python3
"""Interrupt runs at random moments, let them go on, and compare them bit by bit with one that was never interrupted."""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

RUN = "checked"
WORDS = (
    f"run={RUN}", "agent=lstm", "agent.hidden_size=16", "mission.max_steps=40", "training_env.map_pool=8",
    "trainer.batch_size=2048",
    "trainer.minibatch_size=512", "trainer.bptt_horizon=16", "trainer.total_timesteps=24_576",
    "trainer.update_epochs=2", "checkpointer.epoch_interval=3", "evaluator.epoch_interval=2", "evaluator.episodes=2",
    "system.device=cpu", "system.threads=1",
)  # fmt: skip
# Moments of a run, and how many of them there are in an epoch or two of it. A save writes tensor by tensor, forces
# files to disk and renames folders.
PLACES = {
    "collecting": 48,
    "updating": 24,
    "reporting": 2,
    "evaluating": 60,
    "writing": 300,
    "saving": 20,
    "renaming": 8,
}
SIGNALS = ("SIGINT", "SIGTERM", "SIGKILL")
RECIPE = "recipes.experiment.cogsguard.train"
HIT = "interrupted"
CLOCKS = ("timing", "monitor", "overview/sps", "metric/train_time", "metric/total_time")


@dataclass(frozen=True)
class Interruption:
    """A signal that a process sends itself at the nth moment of a kind; `patience` is the trainer's, in seconds."""

    place: str
    number: int
    name: str
    patience: float

    def __str__(self) -> str:
        return f"{self.name} while {self.place} ({self.number}), patience {self.patience:g} s"


def draw(seed: int, places: Sequence[str], signals: Sequence[str]) -> Iterator[Interruption]:
    """Interruptions without end: every place and signal in turn, at random moments."""
    luck = random.Random(seed)
    pairs = [(place, name) for place in places for name in signals]
    while True:
        for place, name in luck.sample(pairs, len(pairs)):
            yield Interruption(place, luck.randint(1, PLACES[place]), name, luck.choice([0.0, 5.0]))


def run_interrupted(words: list[str], interruption: Interruption) -> int:
    """Train in this process until the signal hits it; returns the exit code."""
    from metta.common import files
    from metta.config.runner import run
    from metta.eval.playing import Progress
    from metta.policy.stored.forms import writing
    from metta.rl import trainer
    from metta.rl.experience.rollout import Rollout
    from metta.rl.learning.update import Updater
    from metta.rl.run.metrics import MetricsFile

    holder, method = {
        "collecting": (Rollout, "_step"),
        "updating": (Updater, "_step"),
        "reporting": (MetricsFile, "write"),
        "evaluating": (Progress, "add"),
        "writing": (writing, "as_bytes"),
        "saving": (files, "fsync_path"),
        "renaming": (os, "rename"),
    }[interruption.place]
    original, calls = getattr(holder, method), 0

    def counted(*args: Any) -> object:
        nonlocal calls
        calls += 1
        if calls == interruption.number:
            print(HIT, flush=True)
            os.kill(os.getpid(), signal.Signals[interruption.name])
        return original(*args)

    setattr(holder, method, counted)
    trainer.PATIENCE = interruption.patience
    return run([RECIPE, *words])


def start(words: list[str], interruption: Interruption | None) -> bool:
    """Train in a process of its own until it is interrupted or ends; returns whether it was interrupted."""
    command = [sys.executable, str(Path(__file__).with_name("run.py")), RECIPE, *words]
    if interruption:
        command = [sys.executable, __file__, "--child", json.dumps(asdict(interruption)), *words]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode not in (0, -signal.SIGKILL if interruption else 0):
        sys.exit(f"error: a run ended with {process.returncode}:\n{process.stdout}{process.stderr}")
    return HIT in process.stdout


def differences(left: Path, right: Path) -> list[str]:
    """What of two finished runs is not the same, clocks aside."""
    from safetensors.numpy import load_file

    found = []
    epoch = max(int(entry.name[1:]) for entry in (left / "trainer_state").glob("v*"))
    folders = f"checkpoints/{RUN}:v{epoch}", f"trainer_state/v{epoch}"
    for one in (file for folder in folders for file in sorted((left / folder).glob("*.safetensors"))):
        other = right / one.relative_to(left)
        if not other.exists():
            found.append(f"{other.name} is missing")
            continue
        mine, theirs = load_file(one), load_file(other)
        names = sorted(mine.keys() | theirs.keys())
        found += [f"{one.name}: {name}" for name in names if not _equal(mine.get(name), theirs.get(name))]
    one, other = (_lines(run / "metrics.jsonl") for run in (left, right))
    if len(one) != len(other):
        found.append(f"metrics.jsonl: {len(one)} and {len(other)} epochs")
    for epoch, (mine, theirs) in enumerate(zip(one, other, strict=False), 1):
        names = [name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)]
        found += [f"epoch {epoch}: {name} is {mine.get(name)} and {theirs.get(name)}" for name in sorted(names)[:3]]
    return found


def _equal(one: Any, other: Any) -> bool:
    return one is not None and other is not None and one.dtype == other.dtype and bool((one == other).all())


def _lines(path: Path) -> list[dict[str, float]]:
    rows = (json.loads(line) for line in path.read_text().splitlines())
    return [{name: value for name, value in row.items() if not name.startswith(CLOCKS)} for row in rows]


def check(words: list[str], wanted: int, interruptions: Iterator[Interruption], folder: Path) -> int:
    """Interrupt runs so many times; returns the exit code: 1 where one differs from the uninterrupted run."""
    words = [*words, f"system.data_dir={folder}"]
    torn, whole = folder / RUN, folder / "whole"  # of one name and place, of which a league's state and reports tell
    start(words, None)
    torn.rename(whole)
    done, runs = 0, 0
    while done < wanted:
        runs += 1
        while True:
            interruption = next(interruptions) if done < wanted else None
            if not start(words, interruption):
                break
            done += 1
            saved = [int(entry.name.rpartition(":v")[2]) for entry in (torn / "checkpoints").glob(f"{RUN}:v*")]
            print(f"{done:>3}  {interruption}: goes on from v{max(saved, default=0)}", flush=True)
        if found := differences(whole, torn):
            print(f"run {runs} DIFFERS from the uninterrupted one:", *found, sep="\n  ")
            return 1
        print(f"     run {runs} equals the uninterrupted one", flush=True)
        torn.rename(folder / f"torn{runs}")
    print(f"{done} interruptions in {runs} runs: weights, states and metrics equal, bit by bit")
    return 0


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="settings of the run, key=value, beside those of a tiny one")
    parser.add_argument("--interruptions", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (default 0)")
    parser.add_argument(
        "--place", action="append", choices=PLACES, help="what goes on as they come; again for more (default all)"
    )
    parser.add_argument(
        "--signal", action="append", choices=SIGNALS, help="what they are; again for more (default all)"
    )
    parser.add_argument("--child", metavar="JSON", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.child:
        return run_interrupted(args.words, Interruption(**json.loads(args.child)))
    with tempfile.TemporaryDirectory() as folder:
        interruptions = draw(args.seed, args.place or [*PLACES], args.signal or SIGNALS)
        return check([*WORDS, *args.words], args.interruptions, interruptions, Path(folder))


if __name__ == "__main__":
    ensure_packages()
    sys.exit(main())
