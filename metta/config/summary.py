"""What a job does, in a line."""

from metta.config.job import Config
from metta.rl.settings import RunConfig


def summary(config: Config) -> str:
    """One line, of a run in phases one for each."""
    if isinstance(config, RunConfig) and config.phases:
        return "\n".join(summary(run) for run in config.phase_runs)
    settings = config.model_dump()
    mission = settings["mission"]
    parts = [f"mission {mission['name']}" if mission else "the mission of the run"]
    if isinstance(config, RunConfig):
        env, teaching, dual = settings["env"], config.teaching, config.trainer.dual_policy
        npcs = ", ".join(npc.path for npc in dual.npcs) or "past checkpoints"
        parts = parts if env["kind"] == "metta" else [f"{env['kind']} {env['name']}"]
        parts += ["tasks by learning progress"] if config.curriculum else []
        parts += [
            f"agent {settings['agent']['name']}",
            f"{settings['trainer']['total_timesteps']:,} agent-steps",
            f"batch {settings['trainer']['batch_size']:,}",
            *([f"beside {npcs}"] if dual.enabled else []),
            *([f"teacher {teaching.policy_uri} ({teaching.mode_name})"] if teaching else []),
            *([f"weights of {config.init_from}"] if config.init_from else []),
            f"in {settings['system']['data_dir']}/{settings['run']}",
        ]
        return f"train {settings['run']}: {', '.join(parts)}"
    policy = settings["policy_uri"] or settings["run"] or "newest run"
    if settings["cmd"] == "evaluate":
        parts.append(f"{settings['episodes']} episodes")
    return f"{settings['cmd']} {policy}: {', '.join(parts)}"
