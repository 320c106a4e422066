"""The commands that docs/cli.md records do what it shows; tests/cli/page.py says how blocks are marked."""

from pathlib import Path

import pytest

from tests.cli.page import PAGE, Example, agrees, examples, renewed

SHOWN = """\
mean of 20 episodes
│ reward │ 41.39 │ 40.19 … 42.44 │
…
│ failed │     2 │       1 … 3.5 │
took 20 s in …
…
"""
PRINTED = """\
mean of 10 episodes
│ reward │   7.5 │     all equal │
│ hearts │     4 │         3 … 5 │
│ failed │ 1,234 │  1,000 … 1500 │
took 3.25 s in a hurry
and more
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the commands of the page run."""
    return tmp_path_factory.mktemp("page")


@pytest.mark.parametrize("example", list(examples(PAGE.read_text())), ids=lambda example: example.command)
def test_a_command_of_the_page_does_what_it_shows(example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    printed = example.run(folder)
    assert agrees(example.shown, printed, numbers=not example.is_small), printed


def test_the_page_is_made_anew_with_the_lines_that_it_showed():
    assert not agrees(SHOWN, PRINTED, numbers=True)
    new = renewed(SHOWN, PRINTED)
    assert agrees(new, PRINTED, numbers=True)
    assert new.splitlines() == [
        *PRINTED.splitlines()[:2], "…", PRINTED.splitlines()[3], "took 3.25 s in …", "…",
    ]  # fmt: skip
    assert renewed("all of it\n", PRINTED) == PRINTED


def test_an_interval_is_no_part_that_is_left_out():
    assert renewed("…\n│ x │ 1 │ 0 … 2 │\n", "┏━┓\n│ x │ 10 │ 3 │ 2.5 … 4 │\n") == "…\n│ x │ 10 │ 3 │ 2.5 … 4 │\n"
