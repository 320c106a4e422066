"""How `mettagrid` finds a policy's class: by its path or its short name."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from metta.compat.environment import PolicyEnvInterface
from metta.compat.policy import AgentPolicy, MultiAgentPolicy, PolicySpec, get_policy_registry

OWN = tuple(f"metta.compat.policies.{name}" for name in ("simple", "starter", "nets", "tutorial"))


def discover_and_register_policies(*packages: str) -> None:
    """Import the policies offered here, so that their short names are known, and those of other packages."""
    for name in (*OWN, *packages):
        import_module(name)


def resolve_policy_class_path(policy: str) -> str:
    """The class path behind a short name; anything else as it is."""
    discover_and_register_policies()
    return get_policy_registry().get(policy, policy)


def get_policy_class_shorthand(policy: str) -> str | None:
    """The short name of a class path, if it has one."""
    return {path: name for name, path in get_policy_registry().items()}.get(policy)


def load_symbol(full_name: str) -> Any:
    """What a dotted path names, attributes of attributes too. Raises ModuleNotFoundError."""
    parts = full_name.split(".")
    if len(parts) < 2:
        raise ModuleNotFoundError(f"Invalid symbol name: {full_name}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    missing: ModuleNotFoundError | None = None
    for cut in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:cut])
        try:
            value: Any = import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and not name.startswith(error.name) and not error.name.startswith(name):
                raise  # the module is there, what it imports is not
            missing = error
            continue
        try:
            for part in parts[cut:]:
                value = getattr(value, part)
            return value
        except AttributeError:
            raise ModuleNotFoundError(f"Could not load symbol: {full_name}", name=name) from None
    raise missing or ModuleNotFoundError(f"Could not load symbol: {full_name}")


def initialize_or_load_policy(
    policy_env_info: PolicyEnvInterface, policy_spec: PolicySpec, device_override: str | None = None
) -> MultiAgentPolicy:
    """The policy of a spec, with its weights.

    Raises TypeError for what is no MultiAgentPolicy, ModuleNotFoundError for no class.
    """
    words = dict(policy_spec.init_kwargs)
    if device_override is not None and "device" in words:
        words["device"] = device_override
    policy = load_symbol(resolve_policy_class_path(policy_spec.class_path))(policy_env_info, **words)
    if policy_spec.data_path:
        if not Path(policy_spec.data_path).exists():
            raise FileNotFoundError(f"no such file: {policy_spec.data_path}")
        policy.load_policy_data(policy_spec.data_path)
    if not isinstance(policy, MultiAgentPolicy):
        hint = " (an AgentPolicy: name the class whose agent_policy returns it)" * isinstance(policy, AgentPolicy)
        raise TypeError(f"Policy {policy_spec.class_path} is not a MultiAgentPolicy{hint}")
    return policy
