"""Starting from other weights, and training in phases that do so one after another."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from metta.common.errors import UserError
from metta.config import runner
from metta.policy.stored.uri import find_bundle
from metta.rl.settings import RunConfig
from metta.rl.trainer import train

Config = Callable[..., RunConfig]
PHASES = {"first": {"total_timesteps": 512}, "second": {"total_timesteps": 1024, "mission": {"rewards": []}}}
STILL = {"optimizer": {"learning_rate": 1e-30}, "total_timesteps": 512}


def weights(name: str, config: RunConfig) -> dict[str, torch.Tensor]:
    return find_bundle(name, config.system.data_dir).weights


def test_a_run_starts_with_the_weights_of_another(config: Config) -> None:
    train(config(run="before"))
    after = config(run="after", init_from="before", trainer=STILL)
    train(after)
    for name, tensor in weights("after", after).items():
        assert torch.equal(tensor, weights("before", after)[name]), name
    fresh = config(run="fresh", trainer=STILL)
    train(fresh)
    assert any(
        not torch.equal(tensor, weights("after", after)[name]) for name, tensor in weights("fresh", after).items()
    )


@pytest.mark.parametrize(("before", "after"), [("mse", "gtd_lambda"), ("gtd_lambda", "mse")])
def test_an_auxiliary_head_that_only_one_has_stays_out_of_it(config: Config, before: str, after: str) -> None:
    train(config(run="before", trainer={"losses": {"ppo_critic": {"critic_update": before}}}))
    changed = config(
        run="after", init_from="before", trainer={**STILL, "losses": {"ppo_critic": {"critic_update": after}}}
    )
    train(changed)
    shared = weights("after", changed).keys() & weights("before", changed).keys()
    assert shared != weights("after", changed).keys() or shared != weights("before", changed).keys()
    for name in shared:
        assert torch.equal(weights("after", changed)[name], weights("before", changed)[name]), name


def test_a_resumed_run_goes_on_from_its_own_weights(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(run="before", trainer={"total_timesteps": 512}))
    train(config(run="after", init_from="before", trainer={"total_timesteps": 512}))
    assert "after: starts with the weights of before:v1" in capsys.readouterr().out
    train(config(run="after", init_from="gone", trainer={"total_timesteps": 1024}))
    said = capsys.readouterr()
    assert "going on from v1" in said.out
    assert "after: has begun with before:v1; init_from=gone changes nothing" in said.err
    train(config(run="after", init_from="before", trainer={"total_timesteps": 1536}))
    assert "init_from" not in capsys.readouterr().err


def test_weights_asked_for_after_a_run_has_begun_without_any_change_nothing_and_that_is_said(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    train(config(trainer={"total_timesteps": 512}))
    train(config(trainer={"total_timesteps": 1024}, init_from="other"))
    assert "tiny: has begun with a new network; init_from=other changes nothing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"init_from": "befor"}, "did you mean before"),
        ({"init_from": "random"}, "no weights"),
        ({"agent": {"hidden_size": 8}}, "another network"),
        ({"training_env": {"vibe_actions": True}}, "has 5 actions, this run 12"),
        ({"mission": {"variants": ["forced_role_vibes"]}}, "numbers features or tags otherwise"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_leave_no_folder(config: Config, changes: dict, expected: str) -> None:
    train(config(run="before", trainer={"total_timesteps": 512}))
    refused = config(**{"run": "after", "init_from": "before", **changes})
    with pytest.raises(UserError, match=expected):
        train(refused)
    assert not (Path(refused.system.data_dir) / "after").exists()


def test_phases_are_runs_of_their_own_and_start_where_the_one_before_ended(
    config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = config(run="all", phases=PHASES)
    assert train(asked).run == "all.second"
    folder = Path(asked.system.data_dir)
    assert sorted(entry.name for entry in folder.iterdir()) == ["all.first", "all.second"]
    saved = yaml.safe_load((folder / "all.second" / "config.yaml").read_text())
    assert saved["init_from"] == "all.first" and saved["trainer"]["total_timesteps"] == 1024
    assert saved["mission"]["rewards"] == [] and saved["mission"]["max_steps"] == 24
    assert "all.second: starts with the weights of all.first:v1" in capsys.readouterr().out


def test_the_same_command_goes_on_where_the_phases_stopped(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    train(config(run="all", phases={"first": {"total_timesteps": 512}}))
    longer = {"first": {"total_timesteps": 1024}, "second": {"total_timesteps": 512}}
    train(config(run="all", phases=longer))
    train(config(run="all", phases=longer))
    out = capsys.readouterr().out
    assert "run all.first: going on from v1" in out and "all.second: starts with the weights of all.first:v2" in out
    assert "run all.first has finished" in out and "run all.second has finished" in out


def test_phases_that_cannot_follow_each_other_are_refused_before_the_first(config: Config) -> None:
    for wrong, expected in (
        ({"mission": {"variants": ["forced_role_vibes"]}}, "other observation features"),
        ({"teacher": {"policy_uri": "nowhere", "teacher_led_proportion": 1.0}}, "nowhere"),
    ):
        asked = config(run="all", phases={**PHASES, "third": {"total_timesteps": 512, **wrong}})
        with pytest.raises(UserError, match=expected):
            train(asked)
    assert not list(Path(asked.system.data_dir).iterdir())


@pytest.mark.parametrize("recipe", ["cogsguard.curriculum", "cogsguard.curriculum small=true"])
def test_the_curriculum_composes_phase_after_phase(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.run([*recipe.split(), "run=c", "phases.full.mission.name=cogsguard_machina_1", "--dry-run"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "c.miner" in first and "teacher metta://policy/miner" in first and "weights" not in first
    assert "c.full" in second and "weights of c.miner" in second and "machina_1" in second


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trainer.total_timesteps=3"], "phases.miner.total_timesteps"),
        (["teacher.policy_uri=role"], "each phase has its own"),
        (["phases=rols"], "did you mean roles"),
        (["phases.miner.teacher.policy=role"], "policy_uri"),
        (["phases.more.teacher.policy_uri=role"], "phases.more.total_timesteps is missing"),
        (["phases.miner.mission.name=arena.basik"], "cogsguard_arena.basic"),
        (["phases.miner.mission.cogs=7"], "trainer.batch_size"),
    ],
)
def test_what_is_wrong_with_phases_is_said_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runner.run(["cogsguard.curriculum", *words, "--dry-run"]) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


def in_phases(config: Config, **steps: int) -> RunConfig:
    """Phases of so many agent-steps, in that order."""
    return config(phases={name: {"total_timesteps": count} for name, count in steps.items()})


def files(config: RunConfig) -> dict[str, bytes]:
    """All that the runs in the data folder have saved."""
    folder = Path(config.system.data_dir)
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (
            {"a": 1024, "b": 512, "c": 512},
            r"tiny\.b has begun with tiny\.a:v1, but tiny\.a, .* 512 agent-steps to 1,024",
        ),
        ({"a": 1024, "b": 512, "c": 1024}, r"remove tiny\.b and tiny\.c from .* to train them anew"),
        (
            {"a": 512, "b": 2048, "c": 512},
            r"tiny\.c has begun with tiny\.b:v1, but tiny\.b, .* to 2,048; .*remove tiny\.c",
        ),
        ({"b": 512, "a": 512, "c": 512}, r"tiny\.a has begun with a new network, but tiny\.b, .* ends with tiny\.b:v1"),
        ({"a": 512, "c": 512, "b": 512}, r"tiny\.c has begun with tiny\.b:v1, but tiny\.a, .* ends with tiny\.a:v1"),
        ({"a": 512, "other": 512, "c": 512}, r"tiny\.c has begun .* tiny\.other, .* has no checkpoint"),
        ({"b": 512, "a": 512}, r"tiny\.a has begun with a new network"),
        ({"a": 512, "c": 512}, r"tiny\.c has begun with tiny\.b:v1, but tiny\.a"),
    ],
)
def test_what_a_later_phase_would_never_see_is_refused_and_changes_nothing(
    config: Config, steps: dict[str, int], expected: str
) -> None:
    train(in_phases(config, a=512, b=512, c=512))
    before = files(config())
    with pytest.raises(UserError, match=expected):
        train(in_phases(config, **steps))
    assert files(config()) == before


def test_phases_that_have_not_begun_may_be_changed_and_the_last_one_raised(config: Config) -> None:
    train(in_phases(config, a=512))
    assert train(in_phases(config, a=1024, b=512)).finished
    assert train(in_phases(config, a=1024, b=1024, renamed=512)).finished
    assert train(in_phases(config, a=1024, b=1024)).finished
    starts = (Path(config().system.data_dir) / "tiny.b" / "starts.jsonl").read_text().splitlines()
    assert [json.loads(line)["init_from"] for line in starts] == ["tiny.a:v2"] * 2
    assert len({json.loads(line)["weights"] for line in starts}) == 1


def test_a_later_phase_trains_anew_once_its_folder_is_removed(config: Config) -> None:
    train(in_phases(config, a=512, b=512))
    shutil.rmtree(Path(config().system.data_dir) / "tiny.b")
    train(in_phases(config, a=1024, b=512))
    (start,) = (Path(config().system.data_dir) / "tiny.b" / "starts.jsonl").read_text().splitlines()
    assert json.loads(start)["init_from"] == "tiny.a:v2"


def test_a_phase_does_not_go_on_without_the_one_that_gave_its_weights(config: Config) -> None:
    train(in_phases(config, a=512, b=512))
    with pytest.raises(UserError, match=r"tiny\.b has begun with tiny\.a:v1, but no phase comes before it"):
        train(in_phases(config, b=1024))
    assert train(config(run="tiny.b", trainer={"total_timesteps": 1024})).finished  # as a run of its own


def test_an_earlier_phase_that_trained_on_by_itself_is_noticed(config: Config) -> None:
    train(in_phases(config, a=512, b=512))
    train(config(run="tiny.a", trainer={"total_timesteps": 1024}))
    with pytest.raises(UserError, match=r"tiny\.b has begun with tiny\.a:v1, but tiny\.a, .* ends with tiny\.a:v2"):
        train(in_phases(config, a=512, b=512))


def test_phases_of_which_nobody_noted_the_start_go_on_if_the_one_before_is_finished(config: Config) -> None:
    train(in_phases(config, a=512, b=512))
    (Path(config().system.data_dir) / "tiny.b" / "starts.jsonl").write_text('{"epoch": 0}\n{"torn')
    assert train(in_phases(config, a=512, b=1024)).finished
    with pytest.raises(UserError, match=r"tiny\.b has begun, but tiny\.a, .* would be trained from 512"):
        train(in_phases(config, a=1024, b=1024))


@pytest.mark.parametrize(
    ("kind", "name"), [("gymnasium", "CartPole-v1"), ("pettingzoo", "tests.rl.experience.foreign_envs:Mirror")]
)
def test_phases_train_on_environments_of_other_libraries(kind: str, name: str, config: Config) -> None:
    pytest.importorskip("pufferlib")
    pytest.importorskip(kind)
    phases = {"short": {"total_timesteps": 512}, "long": {"total_timesteps": 1024}}
    both = config(run="both", env={"kind": kind, "name": name}, agent={"name": "mlp"}, phases=phases)
    train(both)
    found = [find_bundle(f"both.{phase}", both.system.data_dir) for phase in phases]
    assert [bundle.agent_steps for bundle in found] == [512, 1024]
    before, after = (bundle.weights for bundle in found)
    assert any(not torch.equal(tensor, after[key]) for key, tensor in before.items())


def test_phases_of_other_sizes_of_a_team_follow_each_other(config: Config) -> None:
    phases = {"few": {"total_timesteps": 512, "mission": {"cogs": 2}}, "all": {"total_timesteps": 512}}
    train(team := config(run="team", phases=phases))
    assert find_bundle("team.all", team.system.data_dir).info.num_agents == 8
