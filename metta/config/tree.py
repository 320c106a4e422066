"""The composed tree: layers and words laid over the defaults of the models, checked, with a memory of who set what."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from metta.common.errors import UserError, suggest
from metta.common.plain_yaml import dump
from metta.common.settings import short_repr, subjects
from metta.config.files import GROUPS, MISSING, OWN, Folders
from metta.config.layers import Layer, Source, option_at
from metta.config.references import check_references
from metta.config.schema import ALIASES, Key, Model, find, nearest
from metta.config.words import Word
from metta.policy.nets.components.registry import WHERE
from metta.policy.nets.presets import KNOBS, refers_to
from metta.rl.schedule import KIND

T = TypeVar("T", bound=BaseModel)
Result = TypeVar("Result")
MOST_SOURCES = 3  # named in one line


@dataclass
class Tree:
    """A tree under composition. `origins` maps each path that something set to its source, the newest last."""

    model: Model
    values: DictConfig = field(init=False)
    origins: dict[str, Source] = field(default_factory=dict)
    picked: set[str] = field(default_factory=set)  # paths that stand as the option of a group set them
    missing: dict[str, Source] = field(default_factory=dict)  # paths that must be given (`???`), and who says so

    def __post_init__(self) -> None:
        values = self.model().model_dump()
        if "agent" in values:  # its list is what a layer says it is, not added to another
            values["agent"]["components"] = {}
        self.values = OmegaConf.create(values)

    def lay(self, layer: Layer) -> None:
        """Lay the values of a layer over the tree; raises UserError at a key the tree does not have."""
        known = OmegaConf.create({})
        for path, value in _flat(layer.values):
            key = self.key(path, layer.source)
            for known_path in {key.path, *(known for known in self.missing if key.path.startswith(f"{known}."))}:
                self.missing.pop(known_path, None)
            if value == MISSING:
                self.missing[key.path] = layer.source
                continue
            self._begin_schedule(key.path, layer.source)
            if value is None and key.model is not None and not key.optional:
                continue  # `trainer:` with nothing below it
            try:
                OmegaConf.update(known, key.path, value, merge=False, force_add=True)
            except OmegaConfBaseException as error:  # no reference that can be read: ${
                raise UserError(f"{key.path}: {str(error).splitlines()[0]}, from {layer.source}") from None
            if (key.path, value) != (WHERE, None):  # nobody says that there are none
                self._note(key.path, layer.source)
            (self.picked.add if layer.branch else self.picked.discard)(key.path)
        self._merge(known, layer.source)

    def apply(self, word: Word) -> str:
        """Apply one word and return the path that it set."""
        key = self.key(word.key, word.source)
        if word.text.startswith("+") and not word.text.startswith("++") and self._is_component(key.path):
            hint = f"{key.path}.SETTING=… changes it, +agent.components.OTHER={{…}} adds another"
            raise UserError(f"{key.path}: there is a component of that name; {hint}, from {word.source}")
        if word.delete:
            self._delete(key.path, word)
            self._note(key.path, word.source)
        elif word.extends:
            if not key.takes_list:
                raise UserError(f"{key.path} is no list to be extended, from {word.source}")
            known = OmegaConf.select(self.values, key.path) or ()
            self.lay(Layer(word.source, _nested(key.path, [*known, *word.value])))
        elif key.model is not None and isinstance(value_for(key, word), str):
            names = ", ".join(child.path.rpartition(".")[2] for child in key.children())
            raise UserError(f"{key.path} has keys of its own ({names}), from {word.source}")
        else:
            self.lay(Layer(word.source, _nested(key.path, value_for(key, word))))
        return key.path

    def key(self, path: str, source: Source) -> Key:
        """Find the key at a path, short spellings included; raises UserError with the nearest one."""
        if path.startswith("hydra.") and source.kind == "file":
            raise UserError(f"{path}: Hydra's own settings are words of the command line, from {source}")
        target = path if find(self.model, path) else _unaliased(path)
        key = find(self.model, target)
        if key is None:
            raise UserError(f"unknown key '{path}'{nearest(self.model, path)}, from {source}")
        return key

    def validated(self, model: type[T]) -> T:
        """The tree as a typed config; raises UserError naming the first bad key and who set it."""
        for path, source in self.missing.items():
            raise UserError(f"{path}=… is missing: it is to be given, from {source}")
        self.blame(lambda: check_references(OmegaConf.to_container(self.values), self._is_word), "")
        try:
            values: Any = OmegaConf.to_container(self.values, resolve=True)
            self._settle_agent(values.get("agent") or {})
            return model.model_validate(values)
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot resolve a value: {reason}, from {self.culprit([error.full_key or ''])}") from None
        except ValidationError as error:
            raise UserError(self._explain(error)) from None

    def _settle_agent(self, agent: dict[str, Any]) -> None:
        """Take out of the resolved settings of a policy the knobs of its preset: its components have them now.

        Raise UserError for one that somebody turned and none of them refers to.
        """
        written: Any = OmegaConf.to_container(self.values)
        for knob in KNOBS if agent.get("components") else ():
            path = f"agent.{knob}"
            turned = path in self.origins and path not in self.picked
            if turned and agent.get(knob) is not None and not refers_to(written["agent"]["components"], knob):
                problem = f"no component of {agent.get('name')} refers to it; change agent.components"
                raise UserError(f"{path}: {problem}, from {self.origins[path]}", [path])
            agent[knob] = None

    def setters(self, path: str) -> list[Source]:
        """Who set what stands at `path`: the key itself, the nearest key above it and those below it."""
        return [self.origins[key] for key in [*self._own(path), *self._below(path)]]

    def is_typed(self, path: str) -> bool:
        """Whether a person, or a recipe, wrote all of the value at `path` as it stands, and no file any of it."""
        written: Any = OmegaConf.to_container(self.values)
        for part in path.split("."):
            written = written.get(part) if isinstance(written, dict) else written
        sources = self.setters(path)
        return bool(sources) and all(source.kind != "file" for source in sources) and not _interpolates(written)

    def _is_word(self, path: str) -> bool:
        """Whether a person wrote all of the value at `path` on the command line."""
        sources = self.setters(path)
        return bool(sources) and all(source.kind == "word" for source in sources)

    def blame(self, check: Callable[[], Result], about: str, homes: Sequence[str] = ()) -> Result:
        """Run a check; a UserError from it also names who set what it is about, `about` unless it says so itself.

        A check of a mission calls its branch `mission`; `homes` are where its settings stand in this tree, those that
        count more first.
        """
        try:
            return check()
        except UserError as error:
            keys = [self._placed(key, homes) for key in error.about or (about,)]
            raise UserError(f"{error}, from {self.culprit(keys)}", error.about) from None

    def culprit(self, keys: Sequence[str]) -> str:
        """Who set what is wrong with these keys: of those who set one of them the newest. Where nobody did, all who
        set something in the same branch; where nobody did that either, the defaults."""
        ages = {path: age for age, path in enumerate(self.origins)}
        found = [path for key in keys for path in self._own(key)]
        if found:
            return str(self.origins[max(found, key=lambda path: ages[path])])
        for branch in _upwards(keys[0]):
            below = self._below(branch)
            if branch.startswith(WHERE):  # who changed the preset, not who picked it
                below = [path for path in below if path not in self.picked] or below
            if sources := dict.fromkeys(self.origins[path] for path in reversed(below)):
                return " or ".join(str(source) for source in [*sources][:MOST_SOURCES])
        return "the defaults"

    def _placed(self, key: str, homes: Sequence[str]) -> str:
        """The path in this tree of a key of a mission that stands at `homes`; any other key as it is."""
        branch, _, rest = key.partition(".")
        if branch != "mission" or not homes:
            return key
        paths = {home: f"{home}.{rest}" if rest else home for home in homes}
        said = (path for home, path in paths.items() if self._below(path) or self._own(path, home))
        return next(said, paths[homes[0]])

    def _own(self, path: str, root: str = "") -> list[str]:
        """The nearest that something set of a path and those above it, down from `root`; none or one."""
        return [key for key in _upwards(path) if key in self.origins and key.startswith(root)][:1]

    def _below(self, path: str) -> list[str]:
        return [known for known in self.origins if known.startswith(f"{path}.")]

    def _note(self, path: str, source: Source) -> None:
        self.origins.pop(path, None)  # so that the newest comes last
        self.origins[path] = source

    def _merge(self, values: DictConfig, source: Source) -> None:
        try:
            merged = OmegaConf.merge(self.values, values)
        except (OmegaConfBaseException, ValueError) as error:
            raise UserError(f"{str(error).splitlines()[0]}, from {source}") from None
        assert isinstance(merged, DictConfig)
        self.values = merged

    def _begin_schedule(self, path: str, source: Source) -> None:
        """Where the kind of a schedule is set, forget what stood in its place: another kind has other keys."""
        above, _, name = path.rpartition(".")
        if name != KIND:
            return
        if OmegaConf.select(self.values, above) is not None:
            OmegaConf.update(self.values, above, None, merge=False)
        for known in self._below(above):
            del self.origins[known]
        self._note(above, source)

    def _is_component(self, path: str) -> bool:
        above, _, name = path.rpartition(".")
        return above == WHERE and name in (OmegaConf.select(self.values, above) or {})

    def _delete(self, path: str, word: Word) -> None:
        above, _, name = path.rpartition(".")
        parent = OmegaConf.select(self.values, above) if above else self.values
        if not isinstance(parent, DictConfig) or name not in parent:
            raise UserError(f"nothing to delete at '{path}', from {word.source}")
        del parent[name]

    def _explain(self, error: ValidationError) -> str:
        first, *others = error.errors(include_url=False)
        path = ".".join(str(part) for part in first["loc"])
        origin = self.culprit(subjects(error, ""))
        more = f" (and {len(others)} more)" if others else ""
        if first["type"] == "missing":
            return f"{path} is missing, from {origin}{more}"
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        if path and f"{path}." in message:  # it says itself what it is about
            return f"{message}, from {origin}{more}"
        key = find(self.model, path)
        given = first["input"]
        hint = suggest(given, key.choices) if key and isinstance(given, str) else ""
        shown = "" if isinstance(given, dict | BaseModel) else f"={short_repr(given)}"
        name = f"{path}{shown}: " if path else ""
        return f"{name}{message}{hint}, from {origin}{more}"


def value_for(key: Key, word: Word) -> Any:
    """The value of a word as the type of its key reads it: 001 is text for a name, a,b is a list for a list."""
    if word.options:
        if key.takes_list and not key.takes_text:
            return [option.value for option in word.options]
        if not key.takes_text:
            raise UserError(f"'{word.text}' lists several values: -m runs one job for each")
    if key.takes_list and not (key.takes_text or key.takes_number) and isinstance(word.value, str | int | float):
        return [word.value]
    if key.takes_text and isinstance(word.value, str | int | float):
        return word.value if isinstance(word.value, str) else word.raw
    return word.value


def to_yaml(config: BaseModel) -> str:
    """The composed tree as YAML text; read back, it composes to the same tree."""
    return dump(config.model_dump(mode="json"))


def picks_option(word: Word) -> bool:
    """Tell a word that picks an option of a group, such as agent=lstm, from one that sets a value."""
    plain = not (word.delete or word.options)
    return plain and (_group(word) in GROUPS or _elsewhere(word)) and isinstance(word.value, str | int)


def option_layers(word: Word, folders: Folders = OWN) -> list[Layer]:
    """The layers of the option that a word picks."""
    if _elsewhere(word):
        return option_at(word.group, str(word.value), word.key, word.source, folders)
    return [Layer(word.source, {_group(word): word.value})]


def _elsewhere(word: Word) -> bool:
    """Tell a word that puts an option elsewhere than its group belongs, such as mission@evals.missions.mine=basic."""
    return word.group in GROUPS.values() and GROUPS.get(_group(word)) != word.group


def _group(word: Word) -> str:
    return "agent" if word.key == "agent.name" else _unaliased(word.key)


def _unaliased(path: str) -> str:
    for short, target in ALIASES.items():
        if path == short or path.startswith(f"{short}."):
            return target + path[len(short) :]
    return path


def _nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def _upwards(path: str) -> list[str]:
    """A path and those above it."""
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]


def _interpolates(value: Any) -> bool:
    """Whether a value, as it was written, refers to others."""
    if isinstance(value, dict | list):
        return any(map(_interpolates, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "${" in value


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping) and (value or not prefix):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value
