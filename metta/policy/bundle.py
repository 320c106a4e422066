"""Policies on disk: a folder with `policy_spec.json` and safetensors weights, checked byte for byte when read."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from metta.common.errors import UserError
from metta.common.files import atomic_folder
from metta.game.observation import EnvInfo, Feature
from metta.policy.interface import Info, NetHeads, PolicyNet, SpaceInfo
from metta.policy.nets.registry import NETS, build_net

SPEC = "policy_spec.json"
WEIGHTS = "model.safetensors"
FORMAT = 1


class BrokenBundleError(UserError):
    """The folder is no complete, undamaged bundle."""


@dataclass(frozen=True)
class Bundle:
    """A policy as read from disk, its bytes verified."""

    folder: Path
    net: str
    settings: dict[str, Any]
    heads: NetHeads
    info: Info
    run: str
    epoch: int
    agent_steps: int
    weights: dict[str, torch.Tensor]

    @property
    def name(self) -> str:
        return self.folder.name

    def build(self, device: torch.device | str = "cpu") -> PolicyNet:
        """The net with its weights, on `device`."""
        net = build_net(self.net, self.settings, self.info, self.heads)
        expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
        found = {name: tuple(tensor.shape) for name, tensor in self.weights.items()}
        if expected != found:
            wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
            raise BrokenBundleError(f"{self.folder}: weights do not fit the net {self.net}: {', '.join(wrong)}")
        net.load_state_dict(self.weights)
        return net.to(device)


def save_bundle(folder: Path, net: PolicyNet, run: str, epoch: int, agent_steps: int) -> None:
    """Write a bundle; `folder` is there only once everything is on disk. Raise OSError when that fails."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    data = save_tensors(weights)
    spec = {
        "format": FORMAT,
        "class_path": f"{type(net).__module__}.{type(net).__qualname__}",
        "data_path": WEIGHTS,
        "net": net.name,
        "init_kwargs": net.settings,
        "auxiliary_head": net.heads.auxiliary,
        **_info_fields(net.info),
        "run": run,
        "epoch": epoch,
        "agent_steps": agent_steps,
        "sha256": {WEIGHTS: hashlib.sha256(data).hexdigest()},
    }
    spec["spec_sha256"] = _spec_hash(spec)
    with atomic_folder(folder) as partial:
        (partial / WEIGHTS).write_bytes(data)
        (partial / SPEC).write_text(json.dumps(spec, indent=2) + "\n")


def load_bundle(folder: Path) -> Bundle:
    """Read and verify a bundle. Raise BrokenBundleError naming what is damaged."""
    spec = _read_spec(folder)
    try:
        data_path, net = spec["data_path"], spec["net"]
        if net not in NETS:
            raise BrokenBundleError(f"{folder}: {SPEC} names an unknown net, {net!r}")
        if Path(data_path).name != data_path:
            raise BrokenBundleError(f"{folder}: data_path {data_path!r} leaves the folder")
        data = (folder / data_path).read_bytes()
        if hashlib.sha256(data).hexdigest() != spec["sha256"][data_path]:
            raise BrokenBundleError(f"{folder}: {data_path} is damaged or cut short (its SHA-256 does not match)")
        return Bundle(
            folder=folder,
            net=net,
            settings=spec["init_kwargs"],
            heads=NetHeads(auxiliary=spec["auxiliary_head"]),
            info=_info(spec),
            run=spec["run"],
            epoch=spec["epoch"],
            agent_steps=spec["agent_steps"],
            weights=load_tensors(data),
        )
    except OSError as error:
        raise BrokenBundleError(f"{folder}: cannot read {error.filename}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, SafetensorError) as error:
        raise BrokenBundleError(f"{folder}: {SPEC} or the weights are not as they should be: {error}") from error


def check_fits(bundle: Bundle, info: Info) -> None:
    """Raise UserError if a policy cannot play in an environment: it must know the same features and actions."""
    if not (isinstance(bundle.info, EnvInfo) and isinstance(info, EnvInfo)):
        if bundle.info != info:
            raise UserError(f"{bundle.folder}: trained on other observations or actions than this environment has")
        return
    if bundle.info.features != info.features:
        ours = {(feature.id, feature.name) for feature in bundle.info.features}
        theirs = {(feature.id, feature.name) for feature in info.features}
        names = ", ".join(name for _, name in sorted(ours ^ theirs)[:5]) or "their normalizations"
        raise UserError(f"{bundle.folder}: trained on other observation features than this mission has ({names})")
    actions = bundle.info.action_names
    if info.action_names[: len(actions)] != actions:
        raise UserError(f"{bundle.folder}: trained on actions that this mission has not: {', '.join(actions)}")
    if (bundle.info.window, bundle.info.num_tokens) != (info.window, info.num_tokens):
        raise UserError(f"{bundle.folder}: trained on another observation window than this mission has")


def _read_spec(folder: Path) -> dict[str, Any]:
    path = folder / SPEC
    try:
        spec = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BrokenBundleError(f"{folder}: not a policy bundle, it has no {SPEC}") from error
    except OSError as error:
        raise BrokenBundleError(f"{path}: cannot read it ({error.strerror})") from error
    except ValueError as error:
        raise BrokenBundleError(f"{path}: damaged or cut short, it is no JSON") from error
    if not isinstance(spec, dict) or spec.get("format") != FORMAT:
        raise BrokenBundleError(f"{path}: not a policy spec of format {FORMAT}")
    if spec.get("spec_sha256") != _spec_hash(spec):
        raise BrokenBundleError(f"{path}: damaged or edited (its SHA-256 does not match)")
    return spec


def _spec_hash(spec: dict[str, Any]) -> str:
    content = {key: value for key, value in spec.items() if key != "spec_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _info_fields(info: Info) -> dict[str, Any]:
    """What the net was built for, as it stands in the spec."""
    if isinstance(info, SpaceInfo):
        return {
            "observation_shape": list(info.observation_shape),
            "observation_dtype": info.observation_dtype,
            "action_sizes": list(info.action_sizes),
            "num_agents": info.num_agents,
        }
    return {
        "features": [[feature.id, feature.name, feature.normalization] for feature in info.features],
        "tags": list(info.tags),
        "action_names": list(info.action_names),
        "num_agents": info.num_agents,
        "window": list(info.window),
        "num_tokens": info.num_tokens,
    }


def _info(spec: dict[str, Any]) -> Info:
    if "observation_shape" in spec:
        return SpaceInfo(
            observation_shape=tuple(map(int, spec["observation_shape"])),
            observation_dtype=str(spec["observation_dtype"]),
            action_sizes=tuple(map(int, spec["action_sizes"])),
            num_agents=int(spec["num_agents"]),
        )
    height, width = spec["window"]
    return EnvInfo(
        features=tuple(Feature(int(id), str(name), scale) for id, name, scale in spec["features"]),
        tags=tuple(spec["tags"]),
        action_names=tuple(spec["action_names"]),
        num_agents=spec["num_agents"],
        window=(height, width),
        num_tokens=spec["num_tokens"],
    )
