"""From the settings of a run to its parts. Nothing is built before everything that can be checked is checked."""

import getpass
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from metta.common.digests import digest
from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.seeds import derive, seed_libraries
from metta.policy.interface import NetHeads, Policy
from metta.policy.nets.interface import PolicyNet
from metta.policy.nets.net import ComponentNet
from metta.policy.nets.wiring import unread, wire
from metta.policy.stored.differences import info_differences
from metta.rl.experience.environments import Environments, Source, find_source, for_agents
from metta.rl.experience.labels import Labels
from metta.rl.experience.npc_pool import NpcPool, find_npc_pool
from metta.rl.experience.npcs import Npcs
from metta.rl.experience.rollout import Experience, Rollout
from metta.rl.experience.teacher import Teacher, find_teacher
from metta.rl.experience.teacher_settings import ClonerSettings, EerSettings, KickstarterSettings, Teaching
from metta.rl.learning.graphs import obstacle
from metta.rl.learning.losses.base import Loss, Within
from metta.rl.learning.losses.cloner import Cloner
from metta.rl.learning.losses.eer import Eer
from metta.rl.learning.losses.gtd_critic import GtdCritic
from metta.rl.learning.losses.kickstarter import Kickstarter
from metta.rl.learning.losses.ppo_actor import PpoActor
from metta.rl.learning.losses.ppo_critic import PpoCritic
from metta.rl.learning.optim import make_optimizer
from metta.rl.learning.precision import Precision, find_precision
from metta.rl.learning.sampling import Shares, make_sampler
from metta.rl.learning.settings import TrainerSettings
from metta.rl.learning.update import Updater
from metta.rl.machine import set_up, settled
from metta.rl.run.metrics import hourly_cost
from metta.rl.run.schedules import Schedules
from metta.rl.run.start import start_from, starts_elsewhere
from metta.rl.settings import RunConfig
from metta.rl.sizes import BatchShape, batch_shape
from metta.rl.world import ALONE, World


def epochs(settings: TrainerSettings, shape: BatchShape) -> int:
    """Epochs until total_timesteps is reached."""
    return -(-settings.total_timesteps // shape.agent_steps)


@dataclass(frozen=True)
class Plan:
    """What follows from the settings alone, checked."""

    config: RunConfig
    run: str
    source: Source
    shape: BatchShape
    teacher: Policy | None
    npc_pool: NpcPool | None
    hourly_cost: float | None
    schedules: Schedules

    @property
    def epochs(self) -> int:
        """Epochs until total_timesteps is reached."""
        return epochs(self.config.trainer, self.shape)

    @property
    def fingerprint(self) -> dict[str, str]:
        """Hashes of the settings that the environments' state depends on, by their keys."""
        seed, envs, config = self.config.system.seed, self.shape.envs, self.config
        parts = {**self.source.fingerprint, "system.seed": seed, "training_env.num_envs": envs}
        if self.npc_pool:
            npcs = [npc.path for npc in config.trainer.dual_policy.npcs]
            parts["trainer.dual_policy"] = [self.shape.agents, npcs]
        return {key: digest(part)[:16] for key, part in parts.items()}


@dataclass(frozen=True)
class Parts:
    """The built pieces of a run."""

    net: ComponentNet
    optimizer: torch.optim.Optimizer
    rollout: Rollout
    updater: Updater
    generators: dict[str, torch.Generator]
    precision: Precision

    @property
    def device(self) -> torch.device:
        return self.precision.device


def plan_phases(config: RunConfig, world: World = ALONE) -> list[Plan]:
    """The plans of a run's phases, or its own. Raise UserError for what cannot be run, or not one after the other."""
    plans = [plan(run, world) for run in config.phase_runs]
    if starts_elsewhere(plans[0].config):
        start_from(build_network(plans[0]), plans[0].config)
    for before, after in pairwise(plans):
        if differences := info_differences(before.source.info, after.source.info):
            problem = f"has other observation features or actions than that of {before.run}: {'; '.join(differences)}"
            raise UserError(f"{after.run}: its mission {problem}")
    return plans


def plan(config: RunConfig, world: World = ALONE) -> Plan:
    """Check what can be checked without building anything. Raise UserError for what cannot be run."""
    _check_supported(config)
    config, device = _settled(config)
    if config.env.backend == "cuda" and device.type != "cuda":
        raise UserError(f"env.backend=cuda: the policy must run there too, but system.device is {device.type}")
    if config.trainer.cuda_graphs == "on" and (why := obstacle(config, device)):
        raise UserError(f"trainer.cuda_graphs=on: {why}; auto does without")
    source = find_source(config)
    for name in unread(wire(config.agent.components, source.info, config.trainer.auxiliary)):
        warn(f"agent.components.{name}: nothing reads what it gives")
    learners = config.trainer.dual_policy.learners(source.info.num_agents)
    shape = batch_shape(config.trainer, learners, config.training_env.num_envs, world.size)
    if config.curriculum:
        config.curriculum.envs_of_group(shape.envs, world.size)
    schedules = Schedules(config, epochs(config.trainer, shape) * shape.agent_steps)
    teaching = schedules.teaching
    run = config.run or world.of_leader(f"{getpass.getuser()}.{time.strftime('%Y%m%d.%H%M%S')}")
    taught = for_agents(source.info, learners)
    teacher = find_teacher(teaching, taught, config.system, device) if teaching else None
    now = config.model_copy(update={"trainer": schedules.trainer})
    npc_pool = find_npc_pool(now, source, run, device) if config.trainer.dual_policy.enabled else None
    return Plan(config, run, source, shape, teacher, npc_pool, hourly_cost(), schedules)


def _settled(config: RunConfig) -> tuple[RunConfig, torch.device]:
    """The settings with what they leave to the machine said, and the device."""
    system = settled(config.system)
    device = torch.device(system.device)
    precision = find_precision(config.trainer.precision, device).name
    trainer = config.trainer.model_copy(update={"precision": precision})
    return config.model_copy(update={"system": system, "trainer": trainer}), device


def build(plan: Plan, world: World = ALONE) -> Parts:
    """Build network, environments, buffers and update from a plan, or the part of them that is this process's."""
    config, shape, settings = plan.config, plan.shape, plan.schedules.trainer
    seed, device = config.system.seed, set_up(config.system)
    precision = find_precision(config.trainer.precision, device)
    precision.set_up()
    seed_libraries(seed)
    torch.manual_seed(derive(seed, "weights"))
    info = plan.source.info
    net = build_network(plan).to(device)
    if config.trainer.compile:
        _compile(net, config.trainer.compile_mode, device)
    generators = {name: torch.Generator(device).manual_seed(derive(seed, name)) for name in ("actions", "minibatches")}
    with ExitStack() as opened:  # closes what is open already if the next cannot be built
        env = build_environments(plan, world)
        opened.callback(env.close)
        experience = Experience.allocate(shape.horizon, shape.own_segments, info, net.initial_state(1), device)
        teacher = None
        if plan.teacher:
            generators["slices"] = torch.Generator(device).manual_seed(derive(seed, "slices"))
            teacher = _build_teacher(plan.teacher, plan, env, device, generators["slices"], world)
            opened.callback(teacher.close)
            experience = replace(experience, labels=teacher.labels)
        npcs = _build_npcs(plan.npc_pool, plan, env, generators, device, world) if plan.npc_pool else None
        graphs = _captures(config, device)
        actions, advantage = generators["actions"], settings.advantage
        rollout = Rollout(env, net, experience, actions, advantage, teacher, npcs, precision, graphs, world)
        optimizer = make_optimizer(net, settings.optimizer)
        sampler = make_sampler(settings.sampling, generators["minibatches"], Shares(world, shape.rounds))
        losses = make_losses(settings, net, plan.schedules.teaching)
        # Of a minibatch drawn from all segments a process has another number each time: nothing that a graph repeats.
        repeat = graphs and world.size == 1
        updater = Updater(net, optimizer, losses, sampler, settings, shape, precision, repeat=repeat, world=world)
        opened.pop_all()
    return Parts(net, optimizer, rollout, updater, generators, precision)


def _captures(config: RunConfig, device: torch.device) -> bool:
    """Whether CUDA graphs repeat steps and minibatches; a line says so where only a part of the run is in the way."""
    why = obstacle(config, device)
    if why and config.trainer.cuda_graphs == "auto" and config.env.backend == "cuda":
        note(f"trainer.cuda_graphs: none, {why}")
    return why is None and config.trainer.cuda_graphs != "off"


def build_network(plan: Plan) -> ComponentNet:
    """A new network of a plan, on the processor."""
    agent = plan.config.agent
    return ComponentNet(plan.source.info, agent.components, NetHeads(plan.config.trainer.auxiliary), agent.name)


def _build_teacher(
    policy: Policy, plan: Plan, env: Environments, device: torch.device, generator: torch.Generator, world: World
) -> Teacher:
    """The teacher of a plan that has one, with room for what it says."""
    shape, actions, teaching = plan.shape, len(plan.source.info.action_names), plan.schedules.teaching
    assert teaching is not None
    labels = Labels.allocate(shape.horizon, shape.own_segments, actions, teaching.mode.neural, device)
    return Teacher(policy, teaching, env, shape.agents, actions, labels, generator, plan.config.system.seed, world)


def _build_npcs(
    npc_pool: NpcPool,
    plan: Plan,
    env: Environments,
    generators: dict[str, torch.Generator],
    device: torch.device,
    world: World,
) -> Npcs:
    """The NPCs of a plan that has such, with a generator of their own."""
    seed, settings = plan.config.system.seed, plan.config.trainer.dual_policy
    generators["npc_actions"] = torch.Generator(device).manual_seed(derive(seed, "npc_actions"))
    npcs = Npcs(npc_pool, env, plan.shape.agents, derive(seed, "npcs"), generators["npc_actions"], world)
    described = {
        "policy_a_percentage": settings.policy_a_percentage,
        "npc_type": settings.npc_type,
        "policy_a_agents": npcs.learners,
        "npc_agents": env.num_agents - npcs.learners,
        "npcs": [npc.name for npc in npc_pool.at_hand],
        "league": settings.league.mode,
    }
    note(f"INFO: Dual-policy system initialized: {described}")
    return npcs


def _compile(net: ComponentNet, mode: str, device: torch.device) -> None:
    """Compile what works forward only; cores have kernels of their own."""
    if device.type == "cpu":
        note("trainer.compile: left out, on the CPU the hand-written kernels are faster")
    else:
        net.compile_parts(mode)


def build_environments(plan: Plan, world: World = ALONE) -> Environments:
    """The environments of a plan that are this process's own."""
    return plan.source.build(plan.shape.envs, plan.config.system.seed, world)


def make_losses(settings: TrainerSettings, net: PolicyNet, teaching: Teaching | None = None) -> dict[str, Loss]:
    """The enabled losses, by name; each sees the segments that it is to learn from."""
    if teaching is None:
        return _ppo_losses(settings, net)
    ppo = _ppo_losses(settings, net) if teaching.mode.ppo else {}
    if not teaching.ppo_sees_everything:
        ppo = {name: Within(loss, lambda labels: labels.ppo_mask) for name, loss in ppo.items()}
    return {**ppo, teaching.mode_name: Within(_teaching_loss(teaching), lambda labels: labels.distill_mask)}


def _ppo_losses(settings: TrainerSettings, net: PolicyNet) -> dict[str, Loss]:
    actor, critic = settings.losses.ppo_actor, settings.losses.ppo_critic
    losses: dict[str, Loss] = {}
    if actor.enabled:
        losses["ppo_actor"] = PpoActor(actor)
    if critic.enabled and critic.critic_update == "mse":
        losses["ppo_critic"] = PpoCritic(critic)
    elif critic.enabled:
        losses["ppo_critic"] = GtdCritic(critic, settings.advantage, net.auxiliary_parameters)
    return losses


def _teaching_loss(teaching: Teaching) -> Loss:
    match teaching.loss:
        case KickstarterSettings():
            return Kickstarter(teaching.loss)
        case EerSettings():
            return Eer(teaching.loss)
        case ClonerSettings():
            return Cloner(teaching.loss)
    raise TypeError(f"no loss for {type(teaching.loss).__name__}")


def _check_supported(config: RunConfig) -> None:
    """Raise UserError for settings that compose but cannot be run; never drop one silently."""
    losses, teaching = config.trainer.losses, config.teaching
    if not (teaching or losses.ppo_actor.enabled or losses.ppo_critic.enabled):
        raise UserError("trainer.losses: none is enabled, there is nothing to learn")
    total = config.trainer.total_timesteps
    if teaching and teaching.mode.fades and not teaching.mode.ppo and teaching.steps < total:
        warn(f"teacher.steps={teaching.steps:,}: nothing is learned from there to trainer.total_timesteps={total:,}")
