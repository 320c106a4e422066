"""What every command line does alike: bad input is one line and exit code 2, Ctrl-C 130."""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from metta.common.errors import LostError, UserError, suggest
from metta.common.logging import debugging
from metta.common.ranks import find_place, is_watched
from metta.common.streams import ReaderGoneError, steady

NEVER_ACTED = 1  # exit code of an evaluation of a policy whose code failed at every step
DIVERGED = 76  # exit code of a training whose numbers are no longer finite
LOST = 75  # exit code of a process that has lost the others of its run; as sysexits' "try again"


class Parser(argparse.ArgumentParser):
    """Raises UserError, with the nearest names, where argparse would print its usage and exit."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def parse_known_args(self, args: Any = None, *rest: Any, **named: Any) -> Any:
        words = sys.argv[1:] if args is None else args
        return super().parse_known_args([at_home(word) for word in words], *rest, **named)

    def error(self, message: str) -> NoReturn:
        if unknown := re.match(r"unrecognized arguments: ([^\s=]+)", message):
            message = f"unknown {unknown[1]}{self._near(unknown[1])}"
        raise UserError(f"{message}, on the command line (--help shows the flags)")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            name = "/".join(action.option_strings) or action.metavar or action.dest
            raise UserError(f"{name}: unknown '{value}'{suggest(str(value), names)}; one of {', '.join(names)}")

    def _near(self, flag: str) -> str:
        flags = self._flags()
        return " (did you mean --format json?)" if flag == "--json" and "--format" in flags else suggest(flag, flags)

    def _flags(self) -> list[str]:
        """Flags of this command and those below it."""
        below = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        parsers = [self, *(parser for choices in below for parser in choices.values())]
        return [flag for parser in parsers for flag in parser._option_string_actions]


def at_home(word: str) -> str:
    """A word of a command line with ~/ as the home folder, also where the shell leaves it: --option=~/file."""
    option, home, rest = word.partition("~/")
    return option + os.path.expanduser(home + rest) if re.fullmatch(r"(--[\w-]+=)?", option) else word


def guarded(main: Callable[[], int]) -> int:
    """Run a command; returns its exit code, 2 for bad input (`UserError.exit_code`) and 130 for Ctrl-C."""
    steady()
    try:
        _stand_somewhere()
        code = main()
        sys.stdout.flush()  # here, where a reader that has gone is no fault
        return code
    except UserError as error:
        _say(error)
        return error.exit_code
    except LostError as error:
        if not is_watched() and _rank() == 0:
            print(f"error: {error}", file=sys.stderr)
        return LOST
    except KeyboardInterrupt:  # training handles it itself: it saves first
        print("interrupted", file=sys.stderr)
        return 130
    except ReaderGoneError:
        return 0


def _stand_somewhere() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working folder is gone: cd to one that is there") from None


def _say(error: UserError) -> None:
    """One line; of what all processes of a run found only rank 0's."""
    if debugging():
        traceback.print_exc()
    rank = _rank()
    if rank == 0 or not error.shared:
        print(f"error: {f'rank {rank}: ' if rank else ''}{error}", file=sys.stderr)


def _rank() -> int:
    try:
        return find_place().rank
    except UserError:  # which is what is to be said
        return 0


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not below `least`, for argparse's `type`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number
