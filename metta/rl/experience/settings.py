"""Settings of the environments that are trained on."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from metta.common.settings import OnlyTyped, SettingError, Settings
from metta.policy.hosted.naming import NAMES_CLASS


def _imports(value: Any) -> bool:
    """Whether the name of an environment, or an argument of one, leads to code: `module:name`, as these libraries and
    environments that wrap others (`GymV26Environment-v0` with `env_id`) have it."""
    if isinstance(value, dict):
        return any(map(_imports, value.values()))
    if isinstance(value, list):
        return any(map(_imports, value))
    return isinstance(value, str) and ":" in value


IMPORTS = OnlyTyped(lambda value, tree: _imports(value))


class EnvSettings(Settings):
    """What is trained on: a mission of the game, or an environment of another library."""

    kind: Literal["metta", "gymnasium", "pettingzoo"] = Field(default="metta", description="whose environments")
    name: Annotated[str | None, IMPORTS] = Field(
        default=None,
        description="gymnasium: its id, CartPole-v1; pettingzoo: module with a parallel_env, or module:function",
    )
    kwargs: Annotated[dict[str, Any], IMPORTS] = Field(
        default={}, description="arguments of an environment of another library"
    )
    backend: Literal["cpu", "cuda"] = Field(default="cpu", description="metta: where the environments run")

    @property
    def imports(self) -> bool:
        """Whether code is imported that is not the library's own; only a person may ask for that."""
        return _imports(self.name) or _imports(self.kwargs)

    @model_validator(mode="after")
    def _name_goes_with_the_kind(self) -> "EnvSettings":
        if self.kind == "metta" and (self.name or self.kwargs):
            problem = "env.name and env.kwargs need env=gymnasium or env=pettingzoo; the game has mission=NAME"
            raise SettingError(problem, "name", "kwargs")
        if self.kind != "metta" and not self.name:
            problem = f"env={self.kind} needs env.name, such as env.name=CartPole-v1 with env=gymnasium"
            raise SettingError(problem, "kind")
        return self


class TrainingEnvSettings(Settings):
    """How the environments are run during training."""

    num_envs: PositiveInt | None = Field(default=None, description="environments; default: as the batch size needs")
    num_workers: PositiveInt | None = Field(
        default=None, description="engine threads; default: all cores. Of other libraries: processes; default: 1"
    )
    vibe_actions: bool = Field(default=False, description="let the policy change vibes (12 actions instead of 5)")
    map_pool: PositiveInt = Field(default=512, description="maps to draw from when an episode starts")
    fresh_maps: bool = Field(
        default=True, description="new maps, drawn in the background, take the place of those that were played"
    )
    desync_episodes: bool = Field(default=True, description="cut each environment's first episode at a random step")
    supervisor_policy_uri: Annotated[str | None, NAMES_CLASS] = Field(
        default=None, description="teacher policy that labels or leads rollouts"
    )

    @property
    def of_episodes(self) -> dict[str, object]:
        """The settings that decide which episodes the game's environments play, by their keys."""
        names = ("map_pool", "fresh_maps", "desync_episodes")
        return {f"training_env.{name}": getattr(self, name) for name in names}
