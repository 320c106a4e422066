"""What a job would fail of as soon as it ran, as far as settings, names and files of this machine say."""

from collections.abc import Callable
from pathlib import Path

from metta.common.errors import UserError
from metta.common.files import check_writable
from metta.config.composition import Composed
from metta.eval.settings import EvaluateConfig, PlayConfig
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.policy.machine_settings import MachineSettings
from metta.policy.stored.sources.runs import CHECKPOINTS
from metta.rl.run.settings import SystemSettings
from metta.rl.settings import RunConfig


def check_job(job: Composed) -> None:
    """Raise UserError for a device, a policy, a folder or room on the map that is not there. Nothing is fetched, no
    code of a user's runs."""
    _check_machine(job, job.config.system)
    if isinstance(job.config, RunConfig):
        _check_training(job, job.config)
    else:
        _check_playing(job, job.config)


def _check_machine(job: Composed, system: MachineSettings) -> None:
    several = isinstance(system, SystemSettings) and system.nproc not in (None, 1)
    if system.device in ("auto", "cpu") and not several:
        return
    from metta.rl.machine import choose_device, count_processes  # here because it takes seconds to import

    job.tree.blame(lambda: choose_device(system.device), "system.device")
    if isinstance(system, SystemSettings):
        job.tree.blame(lambda: count_processes(system), "system.nproc")


def _check_training(job: Composed, config: RunConfig) -> None:
    folder = Path(config.system.data_dir) / str(config.run)
    job.tree.blame(lambda: check_writable(folder / CHECKPOINTS, "the run's folder"), "system.data_dir")
    if config.init_from:
        from metta.rl.run.start import check_start

        job.tree.blame(lambda: check_start(config), "init_from")
    for name, run in zip(config.phases or [""], config.phase_runs, strict=True):
        home = f"phases.{name}." if name else ""
        if config.env.kind == "metta" and not config.curriculum:
            homes = [f"{home}mission", "mission"]
            job.tree.blame(_room(run.mission, config.system.seed), "mission", homes if home else homes[1:])
        if teaching := run.teaching:
            job.tree.blame(teaching.check_learned_from, f"{home}teacher")
            job.tree.blame(_policy(teaching.policy_uri, config.system), f"{home}teacher.policy_uri")
    for npc in config.trainer.dual_policy.npcs if config.trainer.dual_policy.enabled else ():
        job.tree.blame(_policy(npc.path, config.system), "trainer.dual_policy")


def _check_playing(job: Composed, config: EvaluateConfig | PlayConfig) -> None:
    from metta.eval.evaluate import mission_of, policy_name, trained_on

    uri = job.tree.blame(lambda: policy_name(config), "policy_uri")
    job.tree.blame(_policy(uri, config.system), "policy_uri")
    trained = trained_on(uri, config.system.data_dir)
    foreign = isinstance(config, EvaluateConfig) and (config.env or (trained and trained.env.kind != "metta"))
    for key in ("out", "save_replay_file", "save_replay_dir"):
        if path := getattr(config, key, None):
            job.tree.blame(lambda key=key, path=path: check_writable(Path(path), key), key)
    if not foreign:
        job.tree.blame(lambda: _check_room(mission_of(config, uri), config.seed), "mission", ["mission"])


def _policy(uri: str, system: MachineSettings) -> Callable[[], None]:
    from metta.policy.stored.uri import check_policy  # here because it takes seconds to import

    def check() -> None:
        try:
            check_policy(uri, system.data_dir, system.trust_pickle, system.trust_code)
        except UserError as error:
            error.about = ()  # what is wrong within the policy's name is no setting of the tree
            raise

    return check


def _room(mission: MissionSettings, seed: int) -> Callable[[], None]:
    return lambda: _check_room(build_mission(mission), seed)


def _check_room(mission: Mission, seed: int) -> None:
    from metta.game.build import check_room

    check_room(mission, seed)
