"""Ids of features and tags of a configured game."""

from metta.compat.config import GameConfig, MettaGridConfig
from metta.compat.observation import ObservationFeatureSpec, feature_specs
from metta.compat.reading import mission_of
from metta.game.observation import env_info


class IdMap:
    """Features in id order and tags by name."""

    def __init__(self, game: GameConfig) -> None:
        info = env_info(mission_of(MettaGridConfig(game=game)))
        self._features = feature_specs(info)
        self._by_name = {spec.name: spec for spec in self._features}
        self._tags = list(info.tags)

    def features(self) -> list[ObservationFeatureSpec]:
        return list(self._features)

    def tag_names(self) -> list[str]:
        return list(self._tags)

    def feature(self, name: str) -> ObservationFeatureSpec:
        """Raises KeyError for one that there is not."""
        return self._by_name[name]

    def feature_id(self, name: str) -> int:
        return self.feature(name).id
