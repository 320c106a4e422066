"""A run that goes on with other settings: what differs is named, and what can go on goes on."""

from collections.abc import Callable

import pytest

from metta.common.errors import UserError
from metta.policy.stored.uri import find_bundle
from metta.rl.settings import RunConfig
from metta.rl.trainer import train

Config = Callable[..., RunConfig]


def test_a_run_goes_on_with_another_number_of_cogs_in_new_episodes(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(trainer={"total_timesteps": 512}))
    again = config(trainer={"total_timesteps": 1536}, mission={"cogs": 4})
    train(again)
    said = capsys.readouterr()
    assert "going on from v1" in said.out
    assert [line for line in said.err.splitlines() if "warning" in line] == [
        "warning: run=tiny: mission or environments changed since the checkpoint (mission, training_env.num_envs); "
        "new episodes start"
    ]
    last = find_bundle("tiny", again.system.data_dir)
    assert (last.agent_steps, last.info.num_agents) == (1536, 4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"agent": {"hidden_size": 24}}, "hidden_size=16, not 24"),
        ({"agent": {"name": "tutorial"}}, "net lstm, not tutorial"),
        ({"training_env": {"vibe_actions": True}}, r"5 actions, not 12 \(without change_vibe"),
        ({"mission": {"variants": ["forced_role_vibes"]}}, "features"),
        ({"trainer": {"losses": {"ppo_critic": {"critic_update": "gtd_lambda"}}}}, "the auxiliary head"),
    ],
)
def test_what_makes_another_network_is_named(changes: dict, expected: str, config: Config) -> None:
    train(config(trainer={"total_timesteps": 512}))
    with pytest.raises(UserError, match=f"another network than asked for: .*{expected}.*another run name"):
        train(config(**changes))
