"""The flags of the runner: its own, and those of Hydra, of which some mean a word here."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from metta.common.commands import Parser
from metta.common.errors import UserError
from metta.config.describe import FORMS
from metta.config.words import SEARCH_PATH

INFORMATION = ("all", "config", "defaults", "defaults-tree", "searchpath")
_INFO = (*INFORMATION, "plugins")  # the last so that it is refused
# Flags of Hydra, long and short, and what does here what they do there.
CALLED = {
    ("--config-name", "-cn"): "+user=NAME names an experiment, RECIPE a recipe",
    ("--config-path", "-cp"): "--config-dir FOLDER adds a folder of options and experiments",
    ("--experimental-rerun",): "--from train_dir/NAME repeats a run",
    ("--hydra-help",): "--help shows the flags and words",
}
# Flags that may stand without a value -> what they mean then, and the values that they take.
FORMED = {"--describe": ("table", FORMS), "--info": ("all", _INFO), "-i": ("all", _INFO)}


class _Called(argparse.Action):
    """A flag that another word replaces."""

    def __call__(self, parser: object, namespace: object, values: object, option_string: str | None = None) -> NoReturn:
        raise UserError(f"{option_string}: {CALLED[tuple(self.option_strings)]}")


def read_flags(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Flags that have a word's meaning become words."""
    flags = _parser().parse_intermixed_args(_formed(argv))
    if flags.format:
        flags.words.append(f"format={flags.format}")
    if flags.config_dir:
        flags.words.append(f"{SEARCH_PATH}=[{','.join(map(_quoted, flags.config_dir))}]")
    if flags.multirun and flags.run:
        raise UserError("--run and --multirun: one of the two, on the command line")
    for flag in ("resolve", "package"):
        if getattr(flags, flag) and not flags.cfg:
            raise UserError(f"--{flag} goes with --cfg job, on the command line")
    if flags.cfg == "hydra":
        raise UserError(
            "--cfg hydra: Hydra's own settings are words here: --info says what was composed, --cfg job is all"
        )
    return flags


def flag_names() -> list[str]:
    """The flags that do something here, by their long names."""
    names = _parser()._option_string_actions.items()
    return [name for name, action in names if name.startswith("--") and not isinstance(action, _Called)]


def _parser() -> Parser:
    parser = Parser(add_help=False)
    add: Any = parser.add_argument
    add("words", nargs="*")
    add("-h", "--help", action="store_true")
    add("--version", action="store_true")
    add("--list", action="store_true")
    add("-c", "--cfg", choices=["job", "all", "hydra"])
    add("--resolve", action="store_true")
    add("-p", "--package", metavar="KEY")
    add("-i", "--info", choices=INFORMATION)
    add("-cd", "--config-dir", metavar="FOLDER", action="append")
    add("--dry-run", action="store_true")
    add("--describe", choices=FORMS)
    add("-sc", "--shell-completion", action="store_true")
    add("-v", "--verbose", action="store_true")
    add("-r", "--run", action="store_true")
    add("-m", "--multirun", action="store_true")
    add("--sweep", metavar="NAME")
    add("--from", dest="saved", metavar="FOLDER")
    add("--format", choices=["table", "json", "yaml"])
    for options in CALLED:
        add(*options, action=_Called, nargs="?")
    return parser


def _formed(argv: Sequence[str]) -> list[str]:
    """The arguments with a value behind each flag that may stand without one."""
    words: list[str] = []
    for word in [*argv, None]:
        if words and words[-1] in FORMED and word not in FORMED[words[-1]][1]:
            words.append(FORMED[words[-1]][0])
        words += [word] if word is not None else []
    return words


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"
