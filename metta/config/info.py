"""`--cfg` and `--info`: the tree that composition made, and what it is made of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf

from metta.common.errors import UserError, suggest
from metta.common.plain_yaml import dump
from metta.config.composition import Composed
from metta.config.layers import Layer
from metta.policy.nets.presets import KNOBS
from metta.runs.text import table

Chain = tuple[str, ...]  # who named whom
ROOT = "_global_"  # the package of the whole tree, as Hydra calls it


def print_tree(job: Composed, package: str | None, resolve: bool) -> None:
    """Print the tree, or what stands at `package`, as YAML: references as they were written, or resolved."""
    tree: Any = job.config.model_dump(mode="json")
    if not resolve:
        _unresolve(tree, OmegaConf.to_container(job.tree.values))
    if package in (None, ROOT):
        print(dump(tree), end="")
        return
    part = tree
    for name in package.split("."):
        if not isinstance(part, dict) or name not in part:
            raise UserError(f"--package {package}: there is no such key{suggest(package, _keys(tree))}")
        part = part[name]
    print(f"# @package {package}\n{dump(part)}" if isinstance(part, dict) else dump(part).removesuffix("...\n"), end="")


def print_info(job: Composed, kind: str) -> None:
    """Print the folders that were searched, the layers in a tree or a list, and the resolved tree, or one of these."""
    layers = _once(job.layers)
    shown = {
        "searchpath": lambda: print("\n".join(map(str, job.folders))),
        "defaults-tree": lambda: print("\n".join(_tree(layers))),
        "defaults": lambda: print(table(("layer", "sets", "named by"), [*map(_row, layers, layers.values())])),
        "config": lambda: print_tree(job, None, resolve=True),
    }
    for name, show in shown.items():
        if kind in (name, "all"):
            if kind == "all":
                print(f"# {name}")
            show()


def _once(layers: Sequence[Layer]) -> dict[Chain, list[str]]:
    """What each word, recipe and file sets, by its chain, where it counts; without what only makes room for others."""
    result: dict[Chain, list[str]] = {}
    for layer in layers:
        keys = [key for key, value in layer.values.items() if _says(value)]
        sets = [layer.branch or layer.at] if keys and layer.at else keys
        if sets or layer.chain:
            result[layer.named] = [*dict.fromkeys([*result.pop(layer.named, ()), *sets])]
    return result


def _says(value: Any) -> bool:
    return any(map(_says, value.values())) if isinstance(value, Mapping) else value is not None


def _tree(chains: Iterable[Chain]) -> Iterator[str]:
    """Lines that show who named whom, in the order of the layers; `_self_` is where a file's own keys come behind."""
    above: Chain = ()
    for chain in chains:
        same = next((depth for depth, pair in enumerate(zip(above, chain, strict=False)) if pair[0] != pair[1]), None)
        same = min(len(above), len(chain)) if same is None else same
        yield from (f"{'  ' * depth}{chain[depth]}" for depth in range(same, len(chain)))
        if same == len(chain) < len(above):
            yield f"{'  ' * len(chain)}_self_"
        above = chain


def _row(chain: Chain, sets: Sequence[str]) -> tuple[str, str, str]:
    return chain[-1], ", ".join(sets), chain[-2] if len(chain) > 1 else ""


def _unresolve(tree: Any, written: Any) -> None:
    """Put the references of the written tree in the place of what they stand for, with the knobs that they refer to."""
    held = tree if isinstance(tree, dict) else range(len(tree))
    for key, value in written.items() if isinstance(written, dict) else enumerate(written):
        if key not in held:
            continue
        if (isinstance(value, str) and "${" in value) or (key in KNOBS and tree[key] is None):
            tree[key] = value
        elif isinstance(value, dict | list) and isinstance(tree[key], type(value)):
            _unresolve(tree[key], value)


def _keys(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        yield f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{name}.")
