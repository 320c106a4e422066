"""Typed settings of everything that plays without learning; their defaults are those of `metta.common.defaults`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from metta.common.defaults import ACTION_TIMEOUT_MS, EPISODES, SEED
from metta.common.settings import PathText, Settings, UserPath
from metta.game.mission import MissionSettings
from metta.policy.hosted.naming import NAMES_CLASS
from metta.policy.machine_settings import MachineSettings
from metta.rl.experience.settings import EnvSettings
from metta.rl.run.settings import RunName


class PlayerSettings(MachineSettings):
    """What playing episodes uses of the machine."""

    action_timeout_ms: PositiveInt = Field(
        default=ACTION_TIMEOUT_MS,
        description="milliseconds that a policy class of your own has for a step of an environment",
    )
    workers: PositiveInt | None = Field(default=None, description="batches played at once; default: all cores")


class GamesSettings(PlayerSettings):
    """Which policies play which missions, how often, from which seed."""

    missions: list[str] = Field(default=[], description="names, wildcards or files; none: the arena")
    mission_set: str | None = Field(default=None, description="a named set of missions")
    policies: list[str] = Field(description="POLICY[,proportion=X][,team=NAME] each")
    episodes: PositiveInt = Field(default=EPISODES, description="episodes per mission")
    steps: PositiveInt | None = Field(default=None, description="steps per episode; default: the mission's")
    cogs: PositiveInt | None = Field(default=None, description="number of cogs; default: the mission's")
    variants: list[str] = Field(default=[], description="variants of every mission")
    difficulty: Literal["easy", "medium", "hard"] | None = Field(default=None, description="clips pressure")
    seed: NonNegativeInt = Field(default=SEED, description="seed of the first episode")
    out: UserPath | None = Field(default=None, description="file that keeps every episode, and from which to go on")


class ContestSettings(GamesSettings):
    """The same, on maps that may have seeds of their own, and what is kept to look at."""

    map_seed: NonNegativeInt | None = Field(default=None, description="seed of the first map; default: seed")
    save_replay_dir: UserPath | None = Field(default=None, description="folder for replays; a report has one beside it")
    report: UserPath | None = Field(default=None, description="HTML page of the result, written by the command")

    @property
    def replays(self) -> Path | None:
        """Folder for replays, if any are kept."""
        beside = self.report.with_name(f"{self.report.stem}-replays") if self.report else None
        return self.save_replay_dir or beside


class PlayerConfig(Settings):
    """Who plays what, in jobs without learning."""

    run: RunName | None = Field(
        default=None, description="run whose newest checkpoint plays when policy_uri names none"
    )
    policy_uri: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="policy or checkpoint; default: the newest of the run, of the newest run"
    )
    mission: MissionSettings | None = Field(default=None, description="default: what the policy was trained on")
    system: PlayerSettings = PlayerSettings()


class EvaluateConfig(PlayerConfig):
    """Episodes of one policy on one mission, without learning."""

    cmd: Literal["evaluate"] = Field(default="evaluate", description="the job")
    env: EnvSettings | None = Field(default=None, description="default: what the policy was trained on")
    episodes: PositiveInt = Field(default=EPISODES, description="episodes to play")
    seed: int = Field(default=SEED, ge=0, description="seed of the first episode; maps and spawns follow from it")
    format: Literal["table", "json", "yaml"] = Field(default="table", description="how the result is printed")
    out: PathText | None = Field(
        default=None, description="file that keeps every episode; a broken-off job goes on from it"
    )


class PlayConfig(PlayerConfig):
    """One episode to watch."""

    cmd: Literal["play"] = Field(default="play", description="the job")
    render: Literal["gui", "unicode", "log", "none"] = Field(
        default="gui", description="in the browser, the terminal, as lines, or only the table at the end"
    )
    speed: float = Field(default=1, ge=0.25, le=64, description="pace of the live view; 1 is 8 steps per second")
    seed: int = Field(default=SEED, ge=0, description="seed of the episode")
    map_seed: int | None = Field(default=None, ge=0, description="seed of the map; default: that of the episode")
    autostart: bool = Field(default=True, description="gui: begin to play at once")
    port: int = Field(default=0, ge=0, le=65535, description="gui: port of the page; 0: any that is free")
    save_replay_file: PathText | None = Field(default=None, description="file in which the episode is kept")
    save_replay_dir: PathText | None = Field(
        default=None, description="folder for it; the file is named by mission and seed"
    )
