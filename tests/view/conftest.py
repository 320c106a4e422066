"""Matches to look at."""

from collections.abc import Callable

import pytest

from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.uri import make_policy
from metta.view.match import Match

Start = Callable[..., Match]


@pytest.fixture(scope="session")
def start() -> Start:
    def start(policy: str = "noop", seed: int = 5, steps: int = 200, **mission: object) -> Match:
        """A match in the arena or where `mission` says, at its first step."""
        built = build_mission(MissionSettings.model_validate({"max_steps": steps, **mission}))
        return Match(built, make_policy(policy, env_info(built)), seed, policy)

    return start
