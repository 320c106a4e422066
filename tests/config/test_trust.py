"""Files may come from strangers: what they say never has code run, reads the environment or leaves the settings."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from metta.common.settings import OnlyTyped
from metta.config.job import KINDS
from metta.config.schema import Key, leaves
from tests.config.conftest import Outcome

Runner = Callable[..., Outcome]
MARK = "ran.txt"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module that leaves a mark when it is imported."""
    (tmp_path / "hers.py").write_text(f"open({str(tmp_path / MARK)!r}, 'w')\n\nclass Policy:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def refused(outcome: Outcome, *parts: str) -> None:
    assert outcome.code == 2 and outcome.out == "", outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert not Path(MARK).exists()
    for part in parts:
        assert part in outcome.err


RISKY = {
    "trust_pickle": "cmd: play\nsystem: {trust_pickle: true}",
    "its short spelling": "cmd: evaluate\ntrust_pickle: yes",
    "trust_pickle by reference": 'system: {trust_pickle: "${wandb.checkpoints}"}',
    "trust_code": "trust_code: true",
    "a class as the player": "cmd: play\npolicy_uri: class=hers.Policy",
    "a class by reference": 'policy_uri: "${system.data_dir}"\ncmd: evaluate\nsystem: {data_dir: class=hers.Policy}',
    "a class put together": 'cmd: evaluate\npolicy_uri: "class=hers.${run}"\nrun: Policy',
    "a class as a phase's teacher": "phases: {a: {total_timesteps: 1, teacher: {policy_uri: hers.Policy}}}",
    "a class that supervises": "training_env: {supervisor_policy_uri: class=hers.Policy}\n"
    "trainer: {losses: {sliced_scripted_cloner: {enabled: true}}}",
    "a class among NPCs": 'trainer: {dual_policy: {checkpoint_npcs: [{path: noop}, {path: "class=hers.Policy"}]}}',
    "a class as a checkpoint": "trainer: {dual_policy: {checkpoint_npc: {checkpoint_path: hers.Policy}}}",
    "a class to start from": "init_from: class=hers.Policy",
    "a module with an environment": "env: {kind: gymnasium, name: hers:Policy-v0}",
    "an environment that wraps another": "env: {kind: gymnasium, name: GymV26Environment-v0,\n"
    "      kwargs: {make_kwargs: [{env_id: hers:Policy-v0}]}}",
}


@pytest.mark.parametrize("name", RISKY)
def test_what_has_code_run_is_refused_from_a_file(name: str, train: Runner) -> None:
    Path("the word 'mine.yaml").write_text(RISKY[name])  # a file is one, whatever its name
    refused(train("+user=the word 'mine.yaml", "--dry-run"), "the command line", "mine.yaml")


@pytest.mark.parametrize("flags", [[], ["-m", "seed=1,2"]])
def test_a_saved_run_that_was_trusted_is_trusted_anew_only_by_a_word(flags: list[str], run: Runner) -> None:
    folder = Path("given")
    folder.mkdir()
    typed = ["init_from=given/old.pt", "trust_pickle=true", "run=given"]
    (folder / "config.yaml").write_text(run("cogsguard.train", *typed, "--cfg", "job", "--resolve").out)
    refused(run("--from", "given", *flags, "--dry-run"), "system.trust_pickle=true", "given/config.yaml")
    assert run("--from", "given", *flags, "trust_pickle=true", "--cfg", "job", "--resolve").code == 0
    assert run("--from", "given", *flags, "trust_pickle=false", "--cfg", "job", "--resolve").code == 0


def test_a_word_that_refers_to_a_file_does_not_vouch_for_it(train: Runner) -> None:
    Path("mine.yaml").write_text("cmd: evaluate\nrun: Policy\nsystem: {data_dir: class=hers.Policy}")
    refused(train("+user=mine.yaml", "policy_uri=${system.data_dir}", "--dry-run"), "class=hers.Policy")
    refused(train("+user=mine.yaml", "trust_pickle=true", "policy_uri=class=hers.${run}", "--dry-run"), "class=hers")


def test_a_run_is_never_a_class(train: Runner) -> None:
    Path("mine.yaml").write_text("cmd: evaluate\nrun: hers.Policy\nepisodes: 1")
    refused(train("+user=mine.yaml"), "no such run")


@pytest.mark.parametrize(
    "words",
    [
        ["cogsguard.evaluate", "policy_uri=class=hers.Policy", "trust_code=true"],
        ["cogsguard.train", "teacher={policy_uri: hers.Policy}", "trust_pickle=yes"],
        ["machina1_cloner.train", "supervisor=class=hers.Policy"],
        ["cogsguard.train", "trainer.dual_policy={enabled: true, checkpoint_npcs: [{path: 'class=hers.Policy'}]}"],
    ],
)
def test_who_types_may_have_code_run(words: list[str], run: Runner) -> None:
    assert run(*words, "--cfg", "job", "--resolve").code == 0


@pytest.mark.parametrize("text", ["policy_uri: class=role,kw.miner=4", "policy_uri: noop\nsystem: {trust_code: false}"])
def test_a_file_may_name_what_comes_with_the_package(text: str, train: Runner) -> None:
    Path("mine.yaml").write_text(f"cmd: evaluate\n{text}")
    assert train("+user=mine.yaml", "--cfg", "job", "--resolve").code == 0


@pytest.mark.parametrize(
    "value", ["${oc.env:SECRET}", "x${oc.decode:'${oc.env:SECRET}'}", "${oc.${run}:SECRET}", "${oc.env:SECRET,none}"]
)
def test_settings_do_not_read_the_environment(value: str, train: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    Path("mine.yaml").write_text(f'run: env\nwandb: {{mode: online, notes: "{value}"}}')
    outcome = train("+user=mine.yaml", "--cfg", "job", "--resolve")
    refused(outcome, "environment", "mine.yaml")
    assert "hunter2" not in outcome.err


CHAIN = "".join(f"    a{step}: '${{env.kwargs.a{step + 1}}}${{env.kwargs.a{step + 1}}}'\n" for step in range(60))
BRANCHES = "".join(
    f"    a{step}: {{x: '${{env.kwargs.a{step + 1}}}', y: '${{..a{step + 1}}}'}}\n" for step in range(45)
)
GROWING = {
    "references of YAML": "run: mine\nx0: &n0 [1, 1]\n"
    + "".join(f"x{step + 1}: &n{step + 1} [*n{step}, *n{step}]\n" for step in range(30)),
    "one to itself": "wandb: {tags: &n [*n]}",
    "references of settings": f"env:\n  kind: gymnasium\n  name: CartPole-v1\n  kwargs:\n{CHAIN}    a60: x\n",
    "branches in branches": f"env:\n  kind: gymnasium\n  name: CartPole-v1\n  kwargs:\n{BRANCHES}    a45: {{z: 1}}\n",
    "a number of a year of arithmetic": f"seed: 1{':1' * 200_000}",
    "brackets": f"trainer: {'[' * 20_000}",
    "values": f"wandb: {{tags: [{'a,' * 100_000}]}}",
    "lines": "# x\n" * 500_000,
}


@pytest.mark.parametrize("name", GROWING)
@pytest.mark.parametrize("named", ["user", "defaults"])
def test_a_file_that_would_take_for_ever_to_read_is_refused_at_once(name: str, named: str, train: Runner) -> None:
    Path("mine.yaml").write_text(GROWING[name])
    Path("other.yaml").write_text("defaults: [mine, _self_]")
    refused(train(f"+user={'mine' if named == 'user' else 'other'}.yaml", "--dry-run"), "mine.yaml")


def test_a_number_too_long_to_write_is_one_line(train: Runner) -> None:
    Path("mine.yaml").write_text(f"seed: 0x{'f' * 2_900}")
    refused(train("+user=mine.yaml", "trainer.update_epochs=0x" + "f" * 4_000, "--dry-run"), "trainer.update_epochs")


@pytest.mark.parametrize("uri", ["class=lstm,data=x.pt,kw.a=" + "[" * 5_000, "class=lstm,data=x.pt,kw.a={b"])
def test_a_setting_in_a_policys_address_is_read_as_files_are(uri: str, run: Runner) -> None:
    outcome = run("cogsguard.play", f"policy_uri='{uri}'", "max_steps=2", "render=none")
    assert outcome.code == 2 and len(outcome.err.splitlines()) == 1, outcome


@pytest.mark.parametrize("entry", ["../outside", "/trainer/../../outside", "linked", "inner/../../outside"])
def test_a_defaults_list_stays_within_its_folder(entry: str, here: Path, train: Runner) -> None:
    (here / "outside.yaml").write_text("run: outside")
    (here / "given" / "inner").mkdir(parents=True)
    (here / "given" / "linked.yaml").symlink_to(here / "outside.yaml")
    (here / "given" / "mine.yaml").write_text(f"defaults: [{entry}, _self_]")
    refused(train("+user=given/mine.yaml", "--dry-run"), "mine.yaml")


def test_a_file_cannot_have_hydra_search_a_package(train: Runner) -> None:
    Path("mine.yaml").write_text("hydra: {searchpath: ['pkg://hers']}\ndefaults: [other, _self_]")
    refused(train("+user=mine.yaml", "--dry-run"), "mine.yaml")


def test_every_key_that_names_a_policy_or_trust_is_marked() -> None:
    names = ("policy_uri", "supervisor_policy_uri", "checkpoint_path", "init_from", "trust_pickle", "trust_code")
    for kind in KINDS.values():
        keys = [key for key in leaves(kind.model) if key.path.rpartition(".")[2] in names]
        assert keys and all(is_marked(kind.model, key) for key in keys)


def is_marked(model: Any, key: Key) -> bool:
    *branches, name = key.path.split(".")
    for branch in branches:
        model = Key("", model.model_fields[branch].annotation).model
    assert issubclass(model, BaseModel)
    return any(isinstance(mark, OnlyTyped) for mark in model.model_fields[name].metadata)
