"""Policies as lists of components: words change them, errors name what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.config.runner import run as run_tool
from metta.policy.nets.presets import preset_names
from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
TRAIN = "cogsguard.train"


def components(run: Runner, *words: str) -> dict:
    return run(TRAIN, *words, "--cfg", "job", "--resolve").tree["agent"]["components"]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_composes_to_a_resolved_list_that_repeats_itself(name: str, run: Runner, tmp_path: Path) -> None:
    tree = run(TRAIN, f"agent={name}", "run=x", "--cfg", "job", "--resolve").tree
    assert all(part["input"] for part in tree["agent"]["components"].values())
    (tmp_path / "config.yaml").write_text(json.dumps(tree, sort_keys=True))
    again = run("--from", str(tmp_path), "--cfg", "job", "--resolve").tree
    assert again["agent"] == tree["agent"]


def test_the_reference_list_has_the_names_of_the_guides(run: Runner) -> None:
    assert [*components(run, "agent=vit")] == [
        "obs_shim_tokens", "obs_attr_embed_fourier", "obs_perceiver_latent", "cortex",
        "actor_mlp", "critic", "gtd_aux", "actor_head",
    ]  # fmt: skip
    assert [*components(run, "agent=tutorial")][:4] == ["cnn", "cnn_fc", "self_encoder", "rnn"]
    assert components(run, "agent=machina1")["obs_shim_tokens"]["max_tokens"] == 48


def test_words_change_take_out_and_add_components(run: Runner) -> None:
    changed = components(run, "agent=vit", "agent.components.critic.hidden=256", "~agent.components.gtd_aux")
    assert changed["critic"]["hidden"] == 256 and "gtd_aux" not in changed
    added = components(run, "agent=vit", "+agent.components.extra={kind: mlp, input: cortex, hidden: [8, 4]}")
    assert added["extra"]["hidden"] == [8, 4]
    deep = components(
        run, "agent=vit", "agent.components.cortex.pattern=L,S", "agent.components.cortex.cells.S.heads=2"
    )
    assert deep["cortex"]["pattern"] == "L,S" and deep["cortex"]["cells"]["S"]["heads"] == 2
    read = components(run, "agent=vit", "agent.components.critic.input=cortex,obs_perceiver_latent")
    assert read["critic"]["input"] == ["cortex", "obs_perceiver_latent"]


def test_knobs_of_a_preset_turn_what_refers_to_them(run: Runner) -> None:
    small = components(run, "agent=small", "agent.hidden_size=24")
    assert (small["rnn"]["size"], small["cnn_fc"]["size"], small["cnn"]["channels"]) == (24, 24, [16, 32])
    assert components(run, "agent=mlp", "agent.memory=true")["rnn"]["enabled"] is True
    assert components(run, "agent=small", "agent.components.cnn.inputs=scaled")["cnn"]["inputs"] == "scaled"


def test_another_preset_takes_the_place_of_all_components(run: Runner, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [/agent/vit, _self_]\nagent: {components: {critic: {hidden: 8}}}\n")
    assert components(run, f"user={tmp_path}/mine.yaml")["critic"]["hidden"] == 8
    assert [*components(run, f"user={tmp_path}/mine.yaml", "agent=lstm")][:2] == ["net", "rnn"]
    assert [*components(run, "agent.name=lstm")][:2] == ["net", "rnn"]
    (tmp_path / "named.yaml").write_text("agent: {name: lstm, hidden_size: 16}\n")
    assert components(run, f"user={tmp_path}/named.yaml")["rnn"]["size"] == 16


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["agent=vits"], ["no agent 'vits'", "vit"]),
        (["agent=vit", "+agent.components.x={kind: mpl}"], ["agent.components.x", "'mpl'", "did you mean mlp"]),
        (["agent=vit", "agent.components.critic.hiden=3"], ["'agent.components.critic.hiden'", "did you mean hidden"]),
        (["agent=vit", "+agent.components.critic={hidden: 3}"], ["agent.components.critic: there is a component of"]),
        (["agent=vit", "~agent.components.actor_head"], ["no component of kind actor_head"]),
        (["agent=vit", "~agent.components.critic"], ["no component of kind critic", "~agent.components.critic"]),
        (
            ["agent=vit", "~agent.components.gtd_aux", "trainer.losses.ppo_critic.critic_update=gtd_lambda"],
            ["no component of kind gtd_aux", "critic_update=gtd_lambda needs"],
        ),
        (
            ["agent=vit", "+agent.components.two={kind: critic, input: cortex}"],
            ["critic and two are both of kind critic"],
        ),
        (["agent=vit", "agent.components.cortex.pattern=AQS"], ["no cell 'Q'", "S (sLSTM)"]),
        (["agent=vit", "+agent.components.cortex.cells.Z={cell: slsm}"], ["no 'slsm'", "did you mean slstm"]),
        (["agent=vit", "agent.components.cortex.cells.S.heads=3"], ["heads=3 does not divide its width 128"]),
        (["agent=vit", "agent.components.obs_perceiver_latent.feat_dim=22"], ["feat_dim=22", "21 numbers"]),
        (
            ["agent=vit", "agent.components.cortex.input=obs_shim_tokens"],
            ["agent.components.cortex: reads vector, but obs_shim_tokens gives tokens 128"],
        ),
        (["agent=vit", "agent.components.critic.input=cortx"], ["reads 'cortx'", "did you mean cortex"]),
        (["agent=tutorial", "agent.components.cnn_fc.input=cnn.centre"], ["cnn gives cnn, cnn.center"]),
        (["agent=vit", "agent.components.actor_mlp.input=actor_head"], ["wait for each other"]),
        (["agent=lstm", "agent.channels=[1,2]"], ["agent.channels", "no component of lstm refers to it"]),
        (["agent=vit", "agent.components.cortex.num_layers=1_000"], ["num_layers=1000", "256"]),
        (["agent=vit", "agent.components.cortex=3"], ["agent.components.cortex is no mapping"]),
        (["agent=vit", "agent.components=3"], ["agent.components=3", "no mapping"]),
    ],
)
def test_a_list_that_is_none_of_a_policy_is_one_line(words: list[str], parts: list[str], run: Runner) -> None:
    outcome = run(TRAIN, *words, "--dry-run")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1, outcome.err
    assert all(part in outcome.err for part in parts) and words[-1].partition("=")[0] in outcome.err, outcome.err


def test_two_components_of_one_name_in_a_file_are_one_line(run: Runner, tmp_path: Path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("agent:\n  components:\n    a: {kind: critic}\n    a: {kind: critic}\n")
    outcome = run(TRAIN, f"user={file}", "--dry-run")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1
    assert "the key a comes twice" in outcome.err and "twice.yaml" in outcome.err


def test_describe_tells_size_work_and_state_of_every_component(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool([TRAIN, "agent=tutorial", "--describe", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    # Parameters and operations of the tutorials' net, as they were counted by hand.
    assert told["total"]["parameters"] == 2_538_566
    assert told["total"]["forward_flops"] == pytest.approx(9.39e6, rel=1e-3)
    assert told["total"]["trained_flops"] == pytest.approx(34.3e6, rel=2e-3)
    assert told["total"]["state_bytes"] == 2 * 512 * 4 and told["left_out"] == ["aux_head"]
    assert run_tool(["--describe", TRAIN, "agent=vit"]) == 0
    shown = capsys.readouterr().out
    assert "obs_perceiver_latent" in shown and "1,456,646" in shown
    assert run_tool(["cogsguard.evaluate", "--describe"]) == 2


def test_vit_has_the_size_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["agent=vit", "trainer.losses.ppo_critic.critic_update=gtd_lambda"]
    assert run_tool([TRAIN, *words, "--describe", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    sizes = {part["component"]: part["parameters"] for part in told["components"]}
    assert told["total"]["parameters"] == pytest.approx(2.03e6, rel=0.01)
    assert sizes["cortex"] == pytest.approx(1.46e6, rel=0.01)
