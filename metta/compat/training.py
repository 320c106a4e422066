"""`train` of `cogames`: PufferLib's trainer on environments of this engine (extra `puffer`).

A class brings any network that PufferLib trains, and scripts read the checkpoints that it writes: our own trainer knows
neither. What it asks of PufferLib is what the original asked.
"""

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from metta.adapters.pufferl import load_pufferl
from metta.compat.config import MettaGridConfig
from metta.compat.environment import PolicyEnvInterface
from metta.compat.handlers import EarlyResetHandler, NoopStatsWriter, StatsTracker
from metta.compat.loading import get_policy_class_shorthand, initialize_or_load_policy, resolve_policy_class_path
from metta.compat.map_config import MapGenConfig
from metta.compat.policy import POLICY_SPEC_FILENAME, MultiAgentPolicy, PolicySpec
from metta.compat.puffer import MettaGridPufferEnv
from metta.compat.simulation import Simulator
from metta.policy.stored.spec import write_plain_spec

ENVS = 256
HORIZON = 64  # steps that a network with a memory learns from at a time
RECURRENT = ("lstm", "rnn")  # in the name of a class that does not say whether it is
HYPERPARAMETERS: dict[str, Any] = {
    "torch_deterministic": True, "cpu_offload": False, "optimizer": "adam", "anneal_lr": True, "precision": "float32",
    "learning_rate": 0.00092, "gamma": 0.995, "gae_lambda": 0.90, "update_epochs": 1, "clip_coef": 0.2, "vf_coef": 2.0,
    "vf_clip_coef": 0.2, "max_grad_norm": 1.5, "ent_coef": 0.01, "adam_beta1": 0.95, "adam_beta2": 0.999,
    "adam_eps": 1e-8, "max_minibatch_size": 32768, "compile": False, "vtrace_rho_clip": 1.0, "vtrace_c_clip": 1.0,
    "prio_alpha": 0.8, "prio_beta0": 0.2, "min_lr_ratio": 0.0,
}  # fmt: skip


def train(
    env_cfg: MettaGridConfig | None,
    policy_class_path: str,
    device: torch.device,
    initial_weights_path: str | None,
    num_steps: int,
    checkpoints_path: Path,
    seed: int,
    batch_size: int = 4096,
    minibatch_size: int = 4096,
    map_seed: int | None = None,
    missions_arg: list[str] | None = None,
    vector_num_envs: int | None = None,
    vector_batch_size: int | None = None,
    vector_num_workers: int | None = None,
    env_cfg_supplier: Callable[[], MettaGridConfig] | None = None,
    log_outputs: bool = False,
    checkpoint_interval: int = 200,
) -> None:
    """Train a policy that has a `network()`; writes `<path>/<run>/model_*.pt` with a spec, and `<path>/<run>.pt`.

    The environments are stepped in this process, all at once: `vector_batch_size` and `vector_num_workers` do nothing.
    `env_cfg_supplier` is asked once, as there. Raises ValueError without a tree.
    """
    if env_cfg is None and env_cfg_supplier is None:
        raise ValueError("Either env_cfg or env_cfg_supplier must be provided")
    device, checkpoints_path, console = torch.device(device), Path(checkpoints_path), Console()
    pufferl = load_pufferl()
    from pufferlib import vector

    given = env_cfg_supplier() if env_cfg_supplier else env_cfg
    if not isinstance(given, MettaGridConfig):
        raise TypeError("env_cfg_supplier must return a MettaGridConfig")
    make = _EnvMaker(given, map_seed, seed)
    vecenv = vector.make(make, num_envs=vector_num_envs or ENVS, backend=vector.Serial)
    spec = PolicySpec(class_path=policy_class_path, data_path=initial_weights_path)
    policy = initialize_or_load_policy(PolicyEnvInterface.from_mg_cfg(vecenv.driver_env.env_cfg), spec)
    network = policy.network()
    assert network is not None, f"Policy {policy_class_path} must be trainable (network() returned None)"
    recurrent = is_recurrent(policy, policy_class_path)
    horizon = HORIZON if recurrent else 1
    batch, minibatch = batch_sizes(batch_size, minibatch_size, vecenv.num_agents, vecenv.num_envs, horizon)
    settings = HYPERPARAMETERS | {
        "env": "cogames.cogs_vs_clips", "device": device.type, "seed": seed, "data_dir": str(checkpoints_path),
        "total_timesteps": max(num_steps, batch), "batch_size": batch, "minibatch_size": minibatch,
        "bptt_horizon": horizon, "use_rnn": recurrent, "checkpoint_interval": checkpoint_interval,
    }  # fmt: skip
    trainer = pufferl.PuffeRL(settings, vecenv, network.to(device))
    trainer.amp_context = nullcontext()  # rounds nothing in float32, and would never be left by it
    if log_outputs:
        trainer.print_dashboard = lambda *_, **__: None
    with _interruptible():
        finite = _learn(trainer, num_steps, network, console if log_outputs else None)
    trainer.print_dashboard()
    trainer.close()
    run = checkpoints_path / trainer.logger.run_id
    newest = max(run.glob("model_*.pt"))
    if finite:
        whole = resolve_policy_class_path(policy_class_path)
        written = write_plain_spec(whole, {}, newest.name, "", {newest.name: newest.read_bytes()})
        (run / POLICY_SPEC_FILENAME).write_bytes(written)
    _tell(console, newest, policy_class_path, missions_arg, finite, trainer.epoch >= checkpoint_interval)


def is_recurrent(policy: MultiAgentPolicy, class_path: str) -> bool:
    """What the policy says; without a word, or with no, what its name says."""
    told = getattr(policy, "is_recurrent", lambda: False)()
    return told or any(word in class_path.lower() for word in RECURRENT)


def batch_sizes(batch: int, minibatch: int, agents: int, envs: int, horizon: int) -> tuple[int, int]:
    """The nearest that PufferLib takes: a whole segment of each agent, minibatches of whole segments."""
    batch = math.ceil(max(batch, agents * horizon) / envs) * envs
    minibatch = max(min(minibatch, batch), horizon)
    rounded = math.ceil(minibatch / horizon) * horizon
    return batch, rounded if rounded <= batch else rounded - horizon


def _learn(trainer: Any, steps: int, network: torch.nn.Module, console: Console | None) -> bool:
    """Until so many agent-steps are done, or Ctrl-C. False where the network is no longer finite."""
    try:
        while trainer.global_step < steps:
            for what, told in (("Evaluation", trainer.evaluate()), ("Training", trainer.train())):
                if console and told:
                    console.log(f"{what}: {datetime.now(UTC)}", dict(told))
            if not all(one.isfinite().all() for p in network.parameters() for one in (p, p.grad) if one is not None):
                return False
    except KeyboardInterrupt:
        pass  # what was learned until now is saved
    return True


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, which PufferLib would end the process at."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(
    console: Console, newest: Path, class_path: str, missions: list[str] | None, finite: bool, learned: bool
) -> None:
    if not finite:
        console.print(f"Training diverged: the network is not finite. An earlier checkpoint may be: {newest.parent}")
        return
    early = "" if learned else " (training ended before the first one was due)"
    console.print(f"Final checkpoint: {newest}{early}", soft_wrap=True, highlight=False)
    name = get_policy_class_shorthand(class_path) or class_path
    mission = "".join(f" -m {one}" for one in (missions or [])[:1])
    for command in ("play", "run"):
        console.print(f"  cogames {command}{mission} -p class={name},data={newest}", soft_wrap=True, highlight=False)


class _EnvMaker:
    """Makes environments, each on a tree of its own; their maps follow from a seed."""

    def __init__(self, config: MettaGridConfig, map_seed: int | None, seed: int) -> None:
        self._config, self._map_seed, self._seed = config, map_seed, seed

    def __call__(self, buf: Any = None, seed: int = 0) -> MettaGridPufferEnv:
        from pufferlib.pufferlib import set_buffers

        config = self._config.model_copy(deep=True)
        maps = config.game.map_builder
        if isinstance(maps, MapGenConfig) and (self._map_seed is not None or maps.seed is None):
            maps.seed = (self._seed if self._map_seed is None else self._map_seed) + seed
        simulator = Simulator()
        simulator.add_event_handler(StatsTracker(NoopStatsWriter()))
        simulator.add_event_handler(EarlyResetHandler())
        env = MettaGridPufferEnv(simulator, config, buf=buf, seed=seed)
        set_buffers(env, buf)
        return env
