"""What is printed where nobody reads on, nothing more fits, or characters are lacking."""

import subprocess
import sys

import pytest

BEGIN = "import sys; from metta.common.commands import guarded; from metta.common.streams import go_on_unheard\n"
MUCH = "[print(f'line {number} – of many') for number in range(100_000)] and 0"
PRINTS = f"{BEGIN}sys.exit(guarded(lambda: {MUCH}))"
DRAWS = f"{BEGIN}from rich.console import Console; sys.exit(guarded(lambda: Console().print({MUCH!r} * 1000) or 0))"
WORKS = f"{BEGIN}sys.exit(guarded(lambda: (go_on_unheard(), {MUCH}, open(sys.argv[1], 'w').write('done'), 7)[-1]))"


def code_and_errors(script: str, redirection: str, *words: object) -> tuple[str, str]:
    command = f'"$0" -c "$1" "${{@:2}}" {redirection}; echo "${{PIPESTATUS[0]}}" >&3'
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&1; {command}", sys.executable, script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout.split()[-1], done.stderr


@pytest.mark.parametrize("script", [PRINTS, DRAWS])
def test_a_command_that_prints_ends_quietly_with_its_reader(script):
    assert code_and_errors(script, "| head -1") == ("0", "")


def test_a_command_that_prints_fails_where_nothing_can_be_written():
    code, errors = code_and_errors(PRINTS, "> /dev/full")
    assert code == "2"
    assert errors == "error: standard output: cannot be written to (No space left on device)\n"


@pytest.mark.parametrize(
    ("redirection", "why"),
    [
        ("| head -1", "Broken pipe"),
        ("> /dev/full", "No space left on device"),
        (">&-", None),
        ("> /dev/full 2>&1", None),
        (">&- 2>&-", None),
    ],
)
def test_work_whose_result_is_not_what_it_prints_goes_on(tmp_path, redirection, why):
    code, errors = code_and_errors(WORKS, redirection, tmp_path / "result")
    assert code == "7" and (tmp_path / "result").read_text() == "done"
    assert errors == (f"warning: standard output: {why}; going on without it\n" if why else "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "ascii:surrogateescape"])
def test_what_an_encoding_lacks_is_replaced(encoding, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    script = f"{BEGIN}sys.exit(guarded(lambda: print('a – b \\udcff') or 0))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a ? b ?\n", b"")


def test_without_a_buffer_lines_come_at_once():
    script = f"{BEGIN}guarded(lambda: print('said')); import os; os._exit(3)"
    done = subprocess.run([sys.executable, "-u", "-c", script], capture_output=True)
    assert (done.returncode, done.stdout) == (3, b"said\n")
