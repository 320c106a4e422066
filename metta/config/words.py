"""The words of a command line: Hydra's override grammar, and the unquoted values that people type."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from metta.common.errors import UserError
from metta.config.files import EXPERIMENTS, GROUPS, OWN, Folders, experiments, more_folders, options
from metta.config.layers import Source
from metta.game.missions import mission_names

SEARCH_PATH = "hydra.searchpath"  # the one of Hydra's own settings that composition reads
MOST_VALUES = 10_000  # of a word, and jobs of a command

_WORD = re.compile(r"(?P<prefix>\+\+|\+|~|)(?P<key>[A-Za-z_$][\w.$/@-]*)=(?P<value>.*)", re.DOTALL)

_EXTENDED = re.compile(r"(?P<key>[^=]+)=\s*extend_list\((?P<values>.*)\)\s*", re.DOTALL)  # from Hydra 1.4

# Inside brackets: quoted text (kept), URIs, and bare values that hold a character Hydra reserves.
_BARE = re.compile(r""""[^"]*"|'[^']*'|\w+:/[^\s,\[\]{}"']*|[^\s,\[\]{}"':]*[=&~][^\s,\[\]{}"':]*""")


@dataclass(frozen=True)
class Word:
    """One `key=value`. `raw` is the value as typed; `delete` marks `~key`; several `options` are a comma list; of
    `group@key=option` the group."""

    text: str
    key: str
    value: Any = None
    raw: str = ""
    delete: bool = False
    options: tuple["Word", ...] = ()
    group: str = ""
    extends: bool = False  # the list that is there, by `extend_list(…)`
    file: str | None = None  # that says it; None: a person typed it
    called: str = "the word '{}'"  # where a person reads of it

    @property
    def source(self) -> Source:
        return Source(self.file) if self.file else Source(self.called.format(self.text), "word")


def as_typed(value: object) -> str:
    """A value as it is written in a word: lists and mappings in YAML's short form."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {as_typed(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_typed, value)) + "]"
    return "null" if value is None else str(value)


def is_word(text: str) -> bool:
    """Tell a setting (`key=value`, `~key`) from the name of a recipe."""
    return "=" in text or text.startswith(("~", "+"))


def parse_words(texts: Iterable[str], called: str = Word.called) -> list[Word]:
    """Parse the words of a command line, of which `hydra.searchpath=[…]` names more folders of options."""
    texts = [*texts]
    folders = search_path([parse_word(text) for text in texts if text.lstrip("+").startswith(f"{SEARCH_PATH}=")])
    return [replace(parse_word(text, folders), called=called) for text in texts]


def search_path(words: Sequence[Word]) -> Folders:
    """The folders of options and experiments that words name. Raises UserError as `more_folders`."""
    said = [word for word in words if word.key == SEARCH_PATH]
    lists = [word.value if isinstance(word.value, list) else [word.raw] for word in said]
    return more_folders(str(name) for listed in lists for name in listed)


def parse_word(text: str, folders: Folders = OWN) -> Word:
    """Parse one word; raises UserError where it is no setting at all."""
    if extended := _EXTENDED.fullmatch(text):
        return replace(parse_word(f"{extended['key']}=[{extended['values']}]"), text=text, extends=True)
    match = _WORD.fullmatch(text)
    if match is None and not re.fullmatch(r"~[A-Za-z_][\w.]*", text):
        raise UserError(f"cannot read the word '{text}': settings are key=value, +key=value or ~key")
    override, value = _read(text, match)
    key = _key(override)
    group = override.key_or_group if override.package is not None else ""
    raw = match["value"].strip() if match else ""
    if override.is_delete():
        return Word(text, key, delete=True, raw=raw)
    if override.is_sweep_override():
        return Word(text, key, raw, raw, options=_options(text, override, folders), group=group)
    return Word(text, key, value, raw, group=group)


def varied(word: Word) -> tuple[Word, ...]:
    """The words that a comma list stands for; URIs with `=` or `&` may be listed unquoted."""
    if word.options or not isinstance(word.value, str) or word.raw[:1] in "\"'[{" or word.raw.endswith(")"):
        return word.options or (word,)
    parts = [part.strip() for part in word.raw.split(",")]
    if len(parts) == 1 or not all(parts):
        return (word,)
    return tuple(parse_word(f"{word.text.split('=', 1)[0]}={part}") for part in parts)


def _options(text: str, override: Override, folders: Folders) -> tuple[Word, ...]:
    """The words that a list, `choice(…)`, `range(…)` or `glob(…)` stands for."""
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        raise UserError(f"the word '{text}' has no values to list: an interval is for optimisers; range(…) has steps")
    try:
        if isinstance(sweep, RangeSweep) and sweep.step and _length(sweep) > MOST_VALUES:
            raise UserError(f"the word '{text}' lists more than {MOST_VALUES:,} values")
        is_glob = isinstance(sweep, Glob)
        values = _matching(text, override, sweep, folders) if is_glob else [*override.sweep_string_iterator()]
    except (HydraException, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"cannot list the values of the word '{text}': {error}") from None
    if not values:
        raise UserError(f"the word '{text}' lists no values")
    return tuple(parse_word(f"{text.split('=', 1)[0]}={value}") for value in values)


def _length(sweep: RangeSweep) -> float:
    return ((sweep.stop or 0) - (sweep.start or 0)) / sweep.step


def _matching(text: str, override: Override, pattern: Glob, folders: Folders) -> list[str]:
    """The options of a group that a pattern matches; of missions, where it matches none, those of the game."""
    group = GROUPS.get(key := _key(override), key)
    if group not in (*GROUPS.values(), *EXPERIMENTS):
        raise UserError(f"the word '{text}': glob picks options of a group, one of {', '.join(GROUPS)}")
    known = experiments(folders) if group in EXPERIMENTS else options(group, folders)
    for names in (known, [*mission_names()] if group == "mission" else []):
        if found := [name for name in names if name in pattern.filter(names)]:
            return found
    raise UserError(f"the word '{text}' matches none of {', '.join(known)}")


def _key(override: Override) -> str:
    return override.key_or_group if override.package is None else override.package


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _parse(text: str) -> Override | None:
    try:
        return _parser().parse_override(text)
    except HydraException:
        return None


def _read(text: str, match: re.Match[str] | None) -> tuple[Override, Any]:
    """Parse as Hydra does; where it refuses, with bare values quoted, as they may hold `=`, `&` or `~`."""
    override = _parse(text)
    if override is None and match is not None:
        value = match["value"].strip()
        if value[:1] in ("[", "{"):
            value = _BARE.sub(lambda part: part[0] if part[0][0] in "\"'" else _quote(part[0]), value)
        elif value[:1] not in ("'", '"'):
            value = _quote(value)
        override = _parse(f"{match['prefix']}{match['key']}={value}")
    if override is None:
        raise UserError(
            f"cannot read the word '{text}': are its quotes and brackets closed, and is it quoted in the shell?"
        )
    return override, None if override.is_sweep_override() else override.value()


def _quote(value: str) -> str:
    # Hydra reads backslashes literally except in front of the quote and at the end.
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'
