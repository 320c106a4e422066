"""Classes written for mettagrid play here unchanged: as they do there, wherever a policy is named."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mettagrid.policy.loader import initialize_or_load_policy, resolve_policy_class_path
from mettagrid.policy.policy import AgentPolicy, NimMultiAgentPolicy, PolicySpec
from mettagrid.policy.policy_env_interface import PolicyEnvInterface
from mettagrid.util.uri_resolvers.schemes import policy_spec_from_uri

from metta.common.errors import UserError
from metta.compat.observation import decode
from metta.eval.episodes import play_episodes
from metta.game.missions import load_mission
from metta.game.observation import env_info
from metta.policy.hosted.client import HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.hosted.submission import create_bundle, validate_bundle
from metta.policy.interface import Policy
from metta.policy.stored.uri import make_policy
from tests.compat.conftest import Load
from tests.compat.user_policies import CompiledPolicy, Library

MISSION = load_mission("cogsguard_arena.basic")
INFO = env_info(MISSION)
TOLD = PolicyEnvInterface.from_info(INFO)
CLASSES = "class=tests.compat.user_policies"
RECORDED = np.load(Path(__file__).parents[1] / "fixtures/compat/starter.npz")
ROLES = {
    "starter": "starter_agent.StarterPolicy",
    "miner": "role_policies.MinerRolePolicy",
    "scout": "role_policies.ScoutRolePolicy",
    "aligner": "role_policies.AlignerRolePolicy",
    "scrambler": "role_policies.ScramblerRolePolicy",
}


def observations() -> np.ndarray:
    """[steps, 2 environments, 4 agents, tokens, 3]: both see the same."""
    seen = RECORDED["observations"]
    return np.repeat(seen[:, None], 2, axis=1)


def play(policy: Policy, steps: int) -> np.ndarray:
    policy.reset(2, 4, seed=3)
    return np.stack([policy.step(seen) for seen in observations()[:steps]])


@pytest.mark.parametrize("hosting", [None, Hosting()])
def test_agents_act_in_turn_with_words_and_data(hosting: Hosting | None, tmp_path: Path):
    (tmp_path / "stride").write_text("2")
    words = {",kw.stride=3": 3, f",data={tmp_path / 'stride'}": 2}
    for word, stride in words.items():
        actions = play(make_policy(f"{CLASSES}.TurningPolicy{word}", INFO, hosting=hosting), 4)
        expected = (np.arange(4)[None] + stride * np.arange(1, 5)[:, None]) % 5
        np.testing.assert_array_equal(actions[:, 1], expected)


def test_every_episode_has_new_objects():
    for name in ("BatchedPolicy", "CountingPolicy"):
        policy = make_policy(f"{CLASSES}.{name}", INFO)
        first = play(policy, 3)
        policy.end_episodes(np.array([True, False]))
        after = policy.step(observations()[0])
        np.testing.assert_array_equal(after[0], first[0, 0])
        assert (after[1] != first[0, 0]).all()


def test_a_batched_class_gives_flat_ids_with_vibes():
    np.testing.assert_array_equal(play(make_policy(f"{CLASSES}.BatchedPolicy", INFO), 12)[10, 0], [10, 11, 0, 1])


def test_a_compiled_core_reads_and_writes_arrays_by_their_addresses():
    info = PolicyEnvInterface.from_info(env_info(MISSION.model_copy(update={"num_agents": 4})))
    seen = RECORDED["observations"][5]
    values = np.where(seen[..., 2] == 255, 0, seen[..., 2]).astype(int).sum(1) % 12
    policy, chosen = CompiledPolicy(info), np.zeros(4, np.int32)
    policy.step_batch(seen, chosen)
    np.testing.assert_array_equal(chosen, values)
    agent = policy.agent_policy(2)
    assert agent.step(decode(2, seen[2], info.obs_features)).name == info.all_action_names[values[2]]
    assert agent.infos == {"agent": 2}
    some, two = NimMultiAgentPolicy(info, Library, agent_ids=[1, 3]), np.zeros(2, np.int32)
    some.step_batch(seen[[1, 3]], two)
    np.testing.assert_array_equal(two, values[[1, 3]])


def test_an_agent_that_fails_stands_still_and_the_others_play_on():
    policy = make_policy(f"{CLASSES}.FailingPolicy", INFO, hosting=Hosting())
    assert isinstance(policy, HostedPolicy)
    actions = play(policy, 2)
    assert (actions[:, :, 1] == 0).all() and (actions[:, :, 0] > 0).all()
    assert policy.faults.errors == 4 and "does not implement step" in policy.faults.first["errors"]


def test_what_does_not_play_says_why():
    with pytest.raises(UserError, match="Turner is an AgentPolicy; name the MultiAgentPolicy"):
        make_policy(f"{CLASSES}.Turner", INFO)
    with pytest.raises(UserError, match=r"TurningPolicy cannot be built \(TypeError.*strides"):
        make_policy(f"{CLASSES}.TurningPolicy,kw.strides=3", INFO)


def test_a_bundle_may_bring_its_own_part_of_cogames(tmp_path: Path):
    source = tmp_path / "src/cogames/policy"
    source.mkdir(parents=True)
    (source / "mine.py").write_text(
        "from cogames.policy.starter_agent import StarterPolicy\n\nclass Mine(StarterPolicy):\n    short_names = []\n"
    )
    spec = {"class_path": "cogames.policy.mine.Mine", "data_path": None, "init_kwargs": {}, "setup_script": None}
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("policy_spec.json", json.dumps(spec))
        archive.write(source / "mine.py", "src/cogames/policy/mine.py")
    report = validate_bundle(packed, MISSION, steps=2)
    assert report.ok and report.policy == "class cogames.policy.mine.Mine"


def test_a_bundle_of_such_a_class_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.py").write_text((Path(__file__).parent / "user_policies.py").read_text())
    monkeypatch.chdir(tmp_path)
    bundle = create_bundle("class=mine.TurningPolicy,kw.stride=2", tmp_path / "turning.zip")
    report = validate_bundle(bundle, MISSION, steps=3)
    assert report.ok and report.policy == "class mine.TurningPolicy"


@pytest.mark.parametrize("role", ROLES)
def test_starter_and_its_roles_act_as_the_original_did(role: str):
    """On 120 observations of the original, some with gear and hearts, with the original's answers beside them."""
    actions = play(make_policy(f"class=cogames.policy.{ROLES[role]}", INFO), len(RECORDED[role]))
    np.testing.assert_array_equal(actions[:, 0], RECORDED[role])


@pytest.mark.parametrize("role", ROLES)
def test_the_originals_own_files_act_so_too(role: str, load_original: Load):
    load_original("cogames.policy.starter_agent")
    load_original("cogames.policy.role_policies")
    actions = play(make_policy(f"class=cogames.policy.{ROLES[role]}", INFO), len(RECORDED[role]))
    np.testing.assert_array_equal(actions[:, 0], RECORDED[role])


@pytest.mark.parametrize(
    "path",
    [
        "mettagrid.policy.noop.NoopPolicy",
        "mettagrid.policy.random_agent.RandomMultiAgentPolicy",
        "mettagrid.policy.lstm.LSTMPolicy",
        "mettagrid.policy.stateless.StatelessPolicy",
        "mettagrid.policy.puffer_default.PufferDefaultPolicy",
        "cogames.policy.pufferlib_policy.PufferlibCogsPolicy",
        "cogames.policy.tutorial_overlay_policy.TutorialOverlayPolicy",
        "cogames.policy.tutorial_policy.TutorialPolicy",
        "cogames.policy.trainable_policy_template.MyTrainablePolicy",
    ],
)
def test_a_policy_of_the_original_plays_from_its_own_file(path: str, load_original: Load):
    if "puffer" in path:
        load_original("mettagrid.policy.pufferlib")
    module = load_original(path.rpartition(".")[0])
    assert module.__spec__ and "metta" not in type(module.__spec__.loader).__module__
    actions = play(make_policy(f"class={path}", INFO), 4)
    assert actions.shape == (4, 2, 4) and ((actions >= 0) & (actions < 12)).all()


def test_the_originals_chaos_monkey_fails_at_its_step(load_original: Load):
    module = load_original("cogames.policy.chaos_monkey")
    policy = make_policy("class=cogames.policy.chaos_monkey.ChaosMonkeyPolicy,kw.fail_step=2", INFO)
    assert module.ChaosMonkeyPolicy.__module__ == "cogames.policy.chaos_monkey"
    with pytest.raises(RuntimeError):
        play(policy, 4)


ENCODER = {"0.weight", "0.bias", "2.weight", "2.bias"}
NETS = {
    "lstm": (226_310, {f"_net.{key}" for key in ENCODER}, "_"),
    "stateless": (94_214, {f"net.{key}" for key in ENCODER}, ""),
}


@pytest.mark.parametrize("name", NETS)
def test_a_small_net_has_the_weights_of_the_original_and_plays_with_them(name: str, tmp_path: Path):
    parameters, encoder, before = NETS[name]
    path = resolve_policy_class_path(name)
    policy = initialize_or_load_policy(TOLD, PolicySpec(class_path=path))
    net = policy.network()
    assert sum(weight.numel() for weight in net.parameters()) == parameters
    assert encoder | {f"{before}{head}_head.bias" for head in ("action", "value")} <= set(net.state_dict())
    policy.save_policy_data(str(tmp_path / "weights.pt"))
    actions = play(make_policy(f"class={path},data={tmp_path / 'weights.pt'}", INFO), 4)
    assert actions.shape == (4, 2, 4) and ((actions >= 0) & (actions < 5)).all()


def test_an_lstms_state_is_taken_and_given_back_as_pufferlib_does():
    """In a dict batch first; rows of a segment one after the other."""
    net = initialize_or_load_policy(TOLD, PolicySpec(class_path="mettagrid.policy.lstm.LSTMPolicy")).network()
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 4, 200, 3), np.uint8))
    whole, values = net(tokens, {"lstm_h": None, "lstm_c": None})
    assert whole.shape == (12, 5) and values.shape == (12, 1)
    state = {"lstm_h": torch.zeros(3, 128), "lstm_c": torch.zeros(3, 128)}
    steps = [net.forward_eval(tokens[:, step], state)[0] for step in range(4)]
    torch.testing.assert_close(torch.stack(steps, 1).reshape(12, 5), whole)
    assert state["lstm_h"].shape == (3, 1, 128)


def test_the_loader_knows_short_names_and_paths():
    assert resolve_policy_class_path("starter") == "cogames.policy.starter_agent.StarterPolicy"
    assert resolve_policy_class_path("my.own.Class") == "my.own.Class"
    spec = PolicySpec(class_path="tests.compat.user_policies.TurningPolicy", init_kwargs={"stride": "2"})
    policy = initialize_or_load_policy(TOLD, spec)
    assert isinstance(policy.agent_policy(0), AgentPolicy) and spec.name == "TurningPolicy"


def test_a_policy_is_named_by_its_uri_or_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "src/ours_of_uris").mkdir(parents=True)
    (tmp_path / "src/ours_of_uris/policy.py").write_text(
        "from tests.compat.user_policies import TurningPolicy as Turn\n"
    )
    (tmp_path / "stride").write_text("2")
    (tmp_path / "policy_spec.json").write_text(
        json.dumps({"class_path": "ours_of_uris.policy.Turn", "data_path": "stride", "init_kwargs": {"device": "cuda"}})
    )
    packed = tmp_path / "bundle.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("policy_spec.json", "stride", "src/ours_of_uris/policy.py"):
            archive.write(tmp_path / name, name)
    for uri in (str(tmp_path), tmp_path.as_uri(), f"{packed.as_uri()}?stride=4"):
        spec = policy_spec_from_uri(uri)
        assert spec.init_kwargs["device"] == "cpu" and spec.init_kwargs.get("stride", 4) == 4
        policy = initialize_or_load_policy(TOLD, spec)
        assert type(policy).__name__ == "TurningPolicy" and policy._stride == 2  # as its data says
    spec = policy_spec_from_uri("metta://policy/random?vibe_action_p=1&quick=true")
    assert spec.class_path == "mettagrid.policy.random_agent.RandomMultiAgentPolicy"
    assert spec.init_kwargs == {"vibe_action_p": 1, "quick": True}
    with pytest.raises(FileNotFoundError, match=r"policy_spec\.json not found"):
        policy_spec_from_uri(str(tmp_path / "src"))
    with pytest.raises(ValueError, match="cogames -p and policy_uri= read others"):
        policy_spec_from_uri("s3://bucket/bundle.zip")


def test_such_a_class_plays_whole_episodes():
    policy = make_policy("class=cogames.policy.role_policies.MinerRolePolicy", INFO)
    mission = load_mission("miner_tutorial").model_copy(update={"max_steps": 20})
    (episode,) = play_episodes(mission, policy, 1, seed=0)
    assert episode.steps == 20
