"""Guided first games: some words, then a command that runs when Enter is pressed."""

import shlex
import sys
from dataclasses import dataclass

import typer

from metta.cli.jobs import instead
from metta.common.docstrings import docstring

tutorial = typer.Typer(no_args_is_help=True, help="Learn by doing: words, and commands that run on Enter.")


@dataclass(frozen=True)
class Lesson:
    """Some words, and the command that shows what they say."""

    text: str
    command: str


PLAY = (
    Lesson(
        "Eight cogs share a hub. They mine four elements, and the hub turns ten of each into a heart. With gear from\n"
        "the stations below the hub a cog is a miner, an aligner, a scrambler or a scout. An aligner spends a heart\n"
        "on a junction, and every junction held pays the whole team, each step. Here is all of that as numbers:",
        "describe cogsguard_arena.basic",
    ),
    Lesson(
        "One role at a time. These four mine and bring elements home: watch what they carry, and the team's stock.",
        "play -m miner_tutorial -p miner -r unicode -s 200",
    ),
    Lesson(
        "Aligners next. The hub is full of hearts and the clips, the other side, stay away: count the junctions.",
        "play -m aligner_tutorial -p aligner -r unicode -s 200",
    ),
    Lesson(
        "The whole game: miners, aligners, a scrambler, and clips that take junctions back.",
        "play -m cogsguard_arena.basic -p role -r unicode -s 500",
    ),
    Lesson(
        "One game is luck. Several, on maps of known seeds, are a measurement; the interval says how good it is.",
        "scrimmage -m cogsguard_arena.basic -p role -e 8 -s 500",
    ),
    Lesson(
        "Two policies in one team, half of the cogs each. What else can play: `cogames policies`.",
        "run -m cogsguard_arena.basic -p role -p random -e 8 -s 500",
    ),
)
TRAIN = (
    Lesson(
        "A network learns to align. A minute on two cores is too short to be good, and long enough to see it begin.\n"
        "Ctrl-C saves; the same command goes on.",
        "train -m aligner_tutorial -p tutorial --steps 200000 --batch-size 8192 --minibatch-size 1024 --run first",
    ),
    Lesson("Its checkpoint is a policy like any other:", "scrimmage -m aligner_tutorial -p first -e 8 -s 500"),
    Lesson("And chance, for comparison:", "scrimmage -m aligner_tutorial -p random -e 8 -s 500"),
)


def play(context: typer.Context) -> int:
    """Watch the game and measure policies."""
    return _teach(context, PLAY)


def train(context: typer.Context) -> int:
    """Train a first policy and measure it."""
    return _teach(context, TRAIN)


for _name, _command in {"play": play, "train": train}.items():
    tutorial.command(_name, help=docstring(_command))(_command)


def _teach(context: typer.Context, lessons: tuple[Lesson, ...]) -> int:
    """Go through the lessons; without a person at a terminal only print them."""
    asks = sys.stdin.isatty() and sys.stdout.isatty() and not instead(context)
    for number, lesson in enumerate(lessons, 1):
        print(f"{number}/{len(lessons)}  {lesson.text}\n\n    cogames {lesson.command}\n")
        if not asks:
            continue
        try:
            answer = input("Enter runs it, s skips it, q ends: ").strip().lower()
        except EOFError:
            answer = "q"
        if answer == "q":
            return 0
        if answer != "s" and (code := _run(lesson.command)):
            return code
    return 0


def _run(command: str) -> int:
    from metta.cli.cogames import main

    return main(shlex.split(command))
