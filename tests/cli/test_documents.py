"""The documents of --format json keep their keys, and docs/cli.md names all of them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Cogames

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text().partition("## Documents")[2].partition("## ")[0]
FREE = {"rewards", "teams", "settings", "faults"}  # their keys are names of the game


def keys(value: object) -> Iterator[str]:
    """Keys of a document and of what is in it."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            if key not in FREE:
                yield from keys(part)
    elif isinstance(value, list):
        for part in value:
            yield from keys(part)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("missions", "sites"),
        ("missions cogsguard_arena", "missions"),
        (
            "describe cogsguard_arena.basic",
            "name description cogs max_steps map most_cogs variants reward_presets rewards teams clips settings",
        ),
        ("evals", "sets"),
        ("variants", "variants"),
        ("policies", "policies"),
        ("docs", "pages"),
        ("docs game", "name title text"),
        ("version", "version"),
    ],
)
def test_a_document_has_its_keys_and_the_page_names_them_all(words: str, expected: str, cogames: Cogames):
    document = cogames(*words.split(), "--format", "json").document
    assert list(document) == ["schema_version", *expected.split()]
    named = set(re.findall(r"`([a-z_]+)(?:\[\])?`", PAGE)) | {"schema_version"}
    assert set(keys(document)) - named == set()
