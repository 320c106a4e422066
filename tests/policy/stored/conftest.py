"""What the tests of stored policies share."""

from dataclasses import replace

import pytest

from metta.game.mission import Mission
from metta.game.observation import EnvInfo, env_info


@pytest.fixture
def info() -> EnvInfo:
    full = env_info(Mission())
    return replace(full, action_names=full.action_names[:5])
