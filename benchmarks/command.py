"""What the command lines of benchmarks share: names mean what they mean to the product, bad input is one line."""

import argparse
import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from metta.common.commands import guarded
from metta.common.settings import validated
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.rl.settings import RunConfig

Main = Callable[[list[str] | None], int]


def in_one_line(main: Main) -> Callable[..., int]:
    """A benchmark that prints one line and returns 2 for bad input."""

    @wraps(main)
    def run(argv: list[str] | None = None) -> int:
        return guarded(lambda: main(argv))

    return run


def positive(text: str) -> float:
    """Reads a number of seconds or a share, for argparse's `type`."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def mission_of(name: str, **changes: Any) -> Mission:
    """A mission by name or file with changes, those at None left out. Raises UserError for bad ones."""
    said = {key: value for key, value in changes.items() if value is not None}
    return build_mission(validated(MissionSettings, {"name": name, **said}, "mission"))


def training(words: Sequence[str]) -> RunConfig:
    """The training run that words of a command line ask for, as for a recipe. Raises UserError for bad ones."""
    from metta.config.composition import compose  # here because it takes a second to import
    from metta.config.words import parse_word

    config = compose(None, [parse_word(word) for word in words]).config
    assert isinstance(config, RunConfig)
    return config
