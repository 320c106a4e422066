"""`--shell-completion`: what a shell needs to complete words, and its answers while they are typed."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from metta.common.errors import UserError, suggest
from metta.config.complete import complete

UNINSTALL = {
    "bash": "complete -r run.py train.py python python3",
    "zsh": "compdef -d run.py train.py python python3",
    "fish": "for command in run.py train.py python python3; complete -e -c $command; end",
}
FORM = "--shell-completion bash|zsh|fish"


def answer_shell(words: Sequence[str]) -> None:
    """Print the script that has a shell complete words (`bash`, or as Hydra has it `install=bash`, `uninstall=bash`),
    or the words that complete the line in the variable COMP_LINE (`query`)."""
    asked, _, shell = words[0].partition("=") if words else ("", "", "")
    if asked == "query":
        print(*completed(os.environ.get("COMP_LINE", "")), sep="\n")
        return
    shell = shell if asked in ("install", "uninstall") else asked
    if shell not in UNINSTALL:
        raise UserError(f"--shell-completion: no shell '{shell}'{suggest(shell, UNINSTALL)}: {FORM}")
    script = (Path(__file__).parent / f"complete.{shell}").read_text("utf-8")
    print(UNINSTALL[shell] if asked == "uninstall" else script.rstrip())


def completed(line: str) -> list[str]:
    """The words that may stand for the last of a command line, up to the cursor."""
    words = _split(line)
    begun = "" if line[-1:].isspace() or not words else words.pop()
    start = next((place for place, word in enumerate(words) if word.endswith(".py")), 0)
    return complete(words[start + 1 :], begun, trains="train.py" in Path(words[start]).name if words else False)


def _split(line: str) -> list[str]:
    """Words as the shell has them; the last may have a quote that is still open."""
    for closed in (line, f"{line}'", f'{line}"'):
        try:
            return shlex.split(closed)
        except ValueError:
            continue
    return line.split()
