"""Commands that tell about the product: pages of the documentation, and guided first games."""

import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from metta.cli.cogames import JOBS
from metta.cli.tutorial import PLAY, TRAIN, Lesson
from tests.cli.conftest import Cogames

DOCS = Path(__file__).parents[2] / "docs"


def test_every_page_of_the_folder_can_be_printed(cogames: Cogames):
    listed = {page["name"]: page["title"] for page in cogames("docs", "--format", "json").document["pages"]}
    assert set(listed) == {page.stem for page in DOCS.glob("*.md")}
    assert listed["missions"] == "Missions of your own"


def test_a_page_is_printed_as_it_is_where_nobody_watches(cogames: Cogames):
    assert cogames("docs", "runs").out == (DOCS / "runs.md").read_text()


@pytest.mark.parametrize("course", ["play", "train"])
def test_a_course_tells_its_lessons_and_runs_nothing_without_a_person(course: str, cogames: Cogames, tmp_path: Path):
    done = cogames("tutorial", course)
    lessons = {"play": PLAY, "train": TRAIN}[course]
    assert done.code == 0 and all(f"cogames {lesson.command}\n" in done.out for lesson in lessons)
    assert not list(tmp_path.iterdir())


def test_a_person_runs_a_lesson_skips_others_and_ends(tmp_path: Path):
    script = "import sys; from metta.cli.cogames import main; sys.exit(main(['tutorial', 'play']))"
    terminal, end = pty.openpty()
    os.write(terminal, b"\ns\nq\n")
    done = subprocess.run([sys.executable, "-c", script], stdin=end, stdout=end, stderr=subprocess.PIPE, cwd=tmp_path)
    shown = os.read(terminal, 1 << 16).decode()
    assert done.returncode == 0 and "collective.aligned.junction.held" in shown, done.stderr  # of describe
    assert "3/6" in shown and "4/6" not in shown


@pytest.mark.parametrize("lesson", [*PLAY, *TRAIN[:1]], ids=lambda lesson: lesson.command)
def test_the_command_of_a_lesson_composes(lesson: Lesson, cogames: Cogames):
    words = shlex.split(lesson.command)
    done = cogames(*["--cfg=job"][: words[0] in JOBS], *words)
    assert done.code == 0, done.err
