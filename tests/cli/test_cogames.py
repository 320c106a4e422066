"""The `cogames` command as a whole: what it offers, how fast it starts, and what it says to wrong words."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Cogames

COMMANDS = [
    "play", "replay", "scrimmage", "run", "evaluate", "eval", "pickup", "diagnose", "train", "missions", "describe",
    "variants", "evals", "make-mission", "policies", "make-policy", "create-bundle", "validate-bundle", "docs",
    "setup", "version", "tutorial", "login", "upload", "submit", "submissions", "seasons", "leaderboard", "matches",
    "auth", "league",
]  # fmt: skip
HEAVY = ("torch", "numba", "matplotlib", "wandb", "hydra")
CALL = "import sys; from metta.cli.cogames import main; code = main(sys.argv[1:])"


def process(code: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | variables
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=environment)


def test_what_options_became_is_not_called_a_word_that_somebody_typed(cogames: Cogames, tmp_path: Path):
    (tmp_path / "typo.yaml").write_text("base: basic\nmax_stps: 5\n")
    done = cogames("--dry-run", "play", "-m", str(tmp_path / "typo.yaml"), "-s", "5")
    assert (
        done.code == 2
        and f"typo.yaml:max_stps' (did you mean max_steps?), from an option (mission={tmp_path}" in done.err
    )
    assert "word" not in done.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, cogames: Cogames):
    done = cogames(name, "--help")
    assert done.code == 0 and f"Usage: cogames {name}" in done.out


def test_without_a_word_it_shows_what_there_is(cogames: Cogames):
    done = cogames()
    shown = [name for name in COMMANDS if name not in ("evaluate", "eval")]  # other names of run
    assert done.code == 0 and [name for name in shown if f" {name} " not in done.out] == []


def test_a_group_without_a_word_shows_what_there_is(cogames: Cogames):
    done = cogames("tutorial")
    assert (done.code, done.err) == (0, "") and "Usage: cogames tutorial" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ["version"],
        ["--help"],
        ["play", "--help"],
        ["missions"],
        ["missions", "evals"],
        ["missions", "-m", "cogsguard_arena.basic", "-s", "saved.yaml"],
        ["variants"],
        ["evals"],
        ["policies"],
        ["docs", "game"],
        ["make-mission", "-c", "3"],
        ["play", "-m", "cogsguard_arena.basik", "-c", "many"],
    ],
    ids=" ".join,
)
def test_what_needs_no_network_loads_none(words: list[str], tmp_path: Path):
    report = f"; print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    done = process(f"import os; os.chdir({str(tmp_path)!r}); {CALL}{report}", *words)
    assert done.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scrimage"], "Did you mean 'scrimmage'"),
        (["play", "--stepz", "3"], "--steps"),
        (["play", "-s", "many"], "'--steps'"),
        (["play", "-m", "cogsguard_arena.basik"], "cogsguard_arena.basic"),
        (["play", "-v", "dark_sid"], "dark_side"),
        (["play", "-p", "rolle", "-s", "5"], "role"),
        (["play", "--difficulty", "hart"], "hard"),
        (["--dry-run", "play", "-c", "0"], "mission.cogs=0"),
        (["missions", "arena"], "cogsguard_arena"),
        (["missions", "-m", "aligner_tutorail"], "aligner_tutorial"),
        (["missions", "nothing.*"], "nothing.*"),
        (["missions", "-c", "3"], "name it with -m"),
        (["missions", "a", "b"], "extra argument"),
        (["describe", "cogsguard_arena.basic", "-s", "file.txt"], ".yaml"),
        (["evals", "spaning_evals"], "spanning_evals"),
        (["docs", "trainning"], "training"),
        (["variants", "--format", "xml"], "'table', 'json', 'yaml'"),
        (["train", "-p", "lstn"], "lstm"),
        (["train", "-p", "class=lstm,weights=a"], "weights=a"),
        (["--dry-run", "train", "--parallel-envs", "8", "--vector-batch-size", "4"], "--parallel-envs=8"),
        (["make-policy"], "--scripted or --trainable"),
        (["create-bundle", "-p", "random", "-k", "miner"], "key=value"),
        (["run"], "-p POLICY"),
        (["run", "-p", "role,proportion=0"], "proportion=0"),
        (["run", "-p", "rolle"], "role"),
        (["run", "-p", "role", "-S", "cogsguard_eval"], "cogsguard_evals"),
        (["scrimmage", "-p", "role", "-m", "cogsguard_arena.basik"], "cogsguard_arena.basic"),
        (["scrimmage", "-p", "role", "-e", "0"], "--episodes"),
        (["scrimmage", "-p", "role", "-p", "random"], "cogames run"),
        (["scrimmage", "-p", "role", "--difficulty", "hart"], "hard"),
        (["pickup", "-p", "role"], "--pool"),
        (["pickup", "-p", "role", "--pool", "rolle"], "role"),
        (["diagnose", "role", "-S", "cogsguard_eval"], "cogsguard_evals"),
        (["diagnose", "role", "--experiments", "clip_oxygen"], "eval_clip_oxygen"),
        (["validate-bundle", "nothing.zip"], "nothing.zip"),
        (["replay", "nothing.replay"], "nothing.replay"),
        (
            ["--dry-run", "scrimmage", "-p", "role", "--report", "/dev/null/a.html"],
            "--report=/dev/null/a.html: cannot be",
        ),
        (["scrimmage", "--dry-run", "-p", "role"], "before the command: cogames --dry-run scrimmage"),
        (["tutorial", "play", "--cfg", "job"], "before the command: cogames --cfg=job tutorial play"),
        (["policies", "--json"], "policies has no --json: --format json"),
        (["--dry-run", "make-policy", "--scripted"], "make-policy starts no job, as play, scrimmage"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else None,
)
def test_a_wrong_word_gets_one_line_and_exit_2(words: list[str], expected: str, cogames: Cogames):
    done = cogames(*words)
    assert done.code == 2 and done.out == "" and expected in done.err, done
    assert len(done.err.splitlines()) == 1 and done.err.startswith("error: "), done.err


@pytest.mark.parametrize(
    "words",
    [
        ["missions"],
        ["missions", "cogsguard_arena"],
        ["describe", "cogsguard_arena.basic"],
        ["variants"],
        ["evals"],
        ["policies"],
        ["docs"],
        ["docs", "game"],
        ["version"],
    ],
    ids=" ".join,
)
def test_data_is_one_document_with_a_version(words: list[str], cogames: Cogames):
    document = cogames(*words, "--format", "json").document
    assert document["schema_version"] == 1
    assert yaml.safe_load(cogames(*words, "--format", "yaml").out) == document


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cogames scri", {"scrimmage"}),
        ("cogames play -m cogsguard_arena.a", {"cogsguard_arena.aligner_tutorial"}),
        ("cogames play -p sco", {"scout"}),
        ("cogames play -v bra", {"braveheart"}),
        ("cogames play -r ", {"gui", "unicode", "log", "none"}),
        ("cogames train -p ls", {"lstm"}),
        ("cogames run -S diag", {"diagnostic_evals"}),
        ("cogames missions hello", {"hello_world"}),
        ("cogames docs dual", {"dual-policy"}),
    ],
)
def test_the_shell_completes_names(words: str, expected: set[str]):
    asked = {"_COGAMES_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = process("from metta.cli.cogames import main; main([])", **asked)
    assert set(done.stdout.split()) == expected, done.stderr


def test_a_reader_that_has_seen_enough_is_no_fault():
    script = f"{sys.executable} -c '{CALL}; sys.exit(code)' docs missions | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["# Missions of your own", "0"] and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--install-completion", "zsh"], ".zfunc/_cogames"),
        (["--install-completion=fish"], ".config/fish/completions/cogames.fish"),
        (["--install-completion", "bash"], ".bash_completions/cogames.sh"),
    ],
)
def test_completion_is_installed_for_the_shell_that_is_named(
    words: list[str], file: str, cogames: Cogames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = cogames(*words)
    assert done.code == 0 and file in done.out
    shell = words[-1].removeprefix("--install-completion=")
    assert cogames("--show-completion", shell).out.strip() == (tmp_path / file).read_text().strip()
    assert "did you mean zsh?" in cogames("--install-completion", "zhs").err
