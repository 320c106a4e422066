"""Policies of a user's own: `class=module.Class[,data=FILE][,kw.name=value,…]`, or `module.Class` alone.

The class is built as `Class(info, name="value", …)`, then `load(FILE)` is called. It plays as
`metta.policy.interface.Policy` says, a batch at a time, or as `metta.policy.hosted.per_agent.AgentPolicy` does, one
agent at a time; the first is taken if it offers both. A class with `as_policy` says itself how it plays: so do those
written for `mettagrid` (metta.compat). Naming it imports its module, from the working folder too, so only a person may
name one: settings from files are refused (`metta.policy.hosted.naming`).

No torch here: the process that hosts such a class (metta.policy.hosted.client) starts without it.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metta.common.errors import UserError, suggest
from metta.common.retired import offer_retired_names
from metta.policy.hosted.per_agent import AgentTeam
from metta.policy.hosted.user_code import class_hint, is_users

if TYPE_CHECKING:
    from metta.policy.interface import Info, Policy

CLASS = "class="
KEYWORD = "kw."
DATA = "data"
FORM = "class=module.Class[,data=FILE][,kw.name=value]"
BARE = re.compile(r"(?!metta\.)[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\.[A-Z]\w*")  # module.Class
BATCHED = ("reset", "step", "end_episodes")
PER_AGENT = ("reset", "act")
OWN_WAY = "as_policy"


def is_class(uri: str, data_dir: str | Path = "./train_dir") -> bool:
    """Does `uri` name a class to import? Our own are known without it; a file or run of that name is none."""
    name = uri.removeprefix(CLASS).partition(",")[0]
    if uri.startswith(CLASS):
        return "." in name and not name.startswith("metta.")
    return bool(BARE.fullmatch(name)) and not any(os.path.lexists(Path(folder, name)) for folder in ("", data_dir))


@dataclass(frozen=True)
class UserClass:
    """A class to import, with the arguments to build it."""

    origin: str  # for messages
    path: str  # module.Class
    words: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""  # the file to load, "" for none

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def module(self) -> str:
        return self.path.rpartition(".")[0]

    def build(self, info: "Info", team: Callable[..., AgentTeam] = AgentTeam) -> "Policy":
        """The policy; one that plays agent by agent is wrapped by `team`.

        Raise UserError where there is none such or where it fails, with its error.
        """
        found = self._import()
        if _has(found, [OWN_WAY]):
            return self._built(lambda: getattr(found, OWN_WAY)(info, self.words, self._data_path(), team))
        if _has(found, BATCHED):
            return self._construct(found, info)
        if _has(found, PER_AGENT):
            return team(lambda: self._construct(found, info), info.action_names, self.name)
        lacks = ", ".join(method for method in BATCHED if not _has(found, [method]))
        raise UserError(f"{self.origin}: {self.name} is no policy, it has no {lacks} (nor reset and act of one agent)")

    def check(self) -> None:
        """Raise UserError where there is no such module or file; nothing is imported."""
        package = self.module.partition(".")[0]
        offer_retired_names()
        if find_spec(package) is None and PathFinder.find_spec(package, [os.getcwd()]) is None:
            raise UserError(f"{self.origin}: there is no module {package}{self._nearest_module()}")
        self._check_data()

    def _import(self) -> type:
        module, attribute = self.module, self.name
        offer_retired_names()
        if os.getcwd() not in sys.path:
            sys.path.append(os.getcwd())
        try:
            found = getattr(import_module(module), attribute, None)
        except (Exception, SystemExit) as error:  # whatever the user's module raises
            problem = f"cannot import {module} ({told(error)}){self._nearest_module()}"
            if isinstance(error, SyntaxError):
                problem += f"; it may need a later Python than {sys.version_info.major}.{sys.version_info.minor}"
            raise UserError(f"{self.origin}: {problem}") from error
        if not isinstance(found, type):
            near = suggest(
                attribute, [name for name, value in vars(sys.modules[module]).items() if isinstance(value, type)]
            )
            raise UserError(f"{self.origin}: {module} has no class {attribute}{near}")
        return found

    def _construct(self, found: type, info: "Info") -> Any:
        if self.data and not _has(found, ["load"]):
            raise UserError(f"{self.origin}: {self.name} has no method load, data={self.data} means nothing to it")

        def construct() -> Any:
            policy = found(info, **self.words)
            if self.data:
                policy.load(self._data_path())
            return policy

        return self._built(construct)

    def _built(self, build: Callable[[], Any]) -> Any:
        """What `build` makes of the class. Raise UserError with its error."""
        self._check_data()
        try:
            return build()
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.origin}: {self.name} cannot be built ({told(error)})") from error

    def _data_path(self) -> str:
        return str(Path(self.data).absolute()) if self.data else ""

    def _nearest_module(self) -> str:
        return suggest(self.module, [path.stem for path in Path().glob("*.py")])

    def _check_data(self) -> None:
        if self.data and not Path(self.data).exists():
            raise UserError(f"{self.origin}: no such file {self.data}")


def parse_class(uri: str) -> UserClass:
    """The class that `uri` names, its arguments as text. Raise UserError for a part of another form."""
    path, *parts = uri.removeprefix(CLASS).split(",")
    if path.endswith(".py"):
        raise UserError(f"{uri}: a file, where the form is {FORM}{class_hint(Path(path))}")
    words, data = {}, ""
    for part in parts:
        key, _, value = part.partition("=")
        if key == DATA and value:
            data = os.path.expanduser(value)
        elif key.startswith(KEYWORD) and value:
            words[key.removeprefix(KEYWORD)] = value
        else:
            raise UserError(f"{uri}: cannot read '{part}'; the form is {FORM}")
    return UserClass(uri, path, words, data)


def told(error: BaseException) -> str:
    """An error of a user's code in one line: its kind, what it says, and the line of that code."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if is_users(frame.filename)]
    where = f", {Path(theirs[-1].filename).name} line {theirs[-1].lineno}" if theirs else ""
    return f"{type(error).__name__}: {str(error)[:300]}{where}"


def _has(found: type, methods: Iterable[str]) -> bool:
    return all(callable(getattr(found, method, None)) for method in methods)
