"""Commands that run a recipe: their options become its words."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import typer


class Instead(StrEnum):
    """What is done in place of a job, by the flag that asks for it."""

    check = "--dry-run"
    print = "--cfg=job"


def instead(context: typer.Context) -> Instead | None:
    """What the command is to do in place of its job; None: the job."""
    return context.obj


def run_recipe(context: typer.Context, recipe: str, words: Mapping[str, object]) -> int:
    """Run a recipe with a word for each value that is given; returns the exit code.

    What is not given is left to the recipe, so that its defaults are the only ones.
    """
    from metta.config.runner import Spoken, run
    from metta.config.words import as_typed

    texts = [f"{key}={as_typed(value)}" for key, value in words.items() if _given(value)]
    flag = instead(context)
    flags = [*([flag] if flag else []), *(["--resolve"] if flag is Instead.print else [])]
    return run([recipe, *texts, *flags], Spoken(naming="--run {}", word="an option ({})"))


def _given(value: object) -> bool:
    return value is not None and value is not False and value != []


def mission_words(
    mission: str | None,
    variants: Sequence[str] | None,
    difficulty: str | None,
    cogs: int | None,
    map_seed: int | None = None,
) -> dict[str, object]:
    """What the options about the mission are as words."""
    return {
        "mission": mission,
        "mission.variants": list(variants or []),
        "mission.difficulty": difficulty,
        "mission.cogs": cogs,
        "mission.map.seed": map_seed,
    }
