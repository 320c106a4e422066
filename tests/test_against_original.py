"""Measuring beside the original: what a comparison says, and what happens where the original is missing."""

import json
import sys

import pytest

from benchmarks import carry_over, env_throughput, evaluation, puffer, train_throughput
from benchmarks.original import VARIABLE, NotInstalledError, Original, Pairs, find_original
from metta.common.errors import UserError

COMPARING = {
    "env_throughput": env_throughput, "evaluation": evaluation, "puffer": puffer, "train_throughput": train_throughput,
}  # fmt: skip


@pytest.fixture
def original() -> str:
    try:
        return find_original(None)
    except NotInstalledError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", COMPARING)
def test_a_comparison_is_skipped_with_a_reason_where_the_original_is_missing(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert COMPARING[name].main(["--against", "original", "--json"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("skipped: no Python with the original is named")
    document = json.loads(said.out)
    assert (document["benchmark"], document["against"]) == (name, "original") and VARIABLE in document["skipped"]


def test_carrying_policies_over_is_skipped_with_a_reason_too(capsys: pytest.CaptureFixture[str]):
    assert carry_over.main(["--original-python", "/no/such/python"]) == 0
    assert capsys.readouterr().err.startswith("skipped: /no/such/python does not run")


def test_a_python_without_the_original_is_told_what_it_lacks():
    with pytest.raises(NotInstalledError, match=r"lacks .*mettagrid"):
        find_original(sys.executable)


def test_the_ratio_is_the_median_over_pairs_not_the_ratio_of_medians():
    class Slowing:
        """The other side, twice as slow in the second pair and four times in the third."""

        versions = {"cogames": "0.8.1"}
        answers = iter([2.0, 4.0, 8.0])

        def ask(self) -> dict[str, float]:
            return {"agent_steps": 100, "seconds": next(self.answers)}

    pairs = Pairs(Slowing())  # type: ignore[arg-type]
    for ours in (500.0, 1000.0, 125.0):
        pairs.add(ours)
    result = pairs.result()
    assert pairs.theirs == [50.0, 25.0, 12.5]
    assert (result["ratio"], result["lowest_ratio"], result["highest_ratio"]) == (10.0, 10.0, 40.0)
    assert (result["agent_steps_per_cpu_second"], result["original_agent_steps_per_cpu_second"]) == (500, 25)
    assert result["original"] == {"cogames": "0.8.1"}


def test_the_original_says_why_it_failed():
    with pytest.raises(UserError, match=r"the original failed: .*No module named"):
        Original(sys.executable, "env", mission="cogsguard_arena.basic", agents=None, envs=1)


@pytest.mark.parametrize("words", [["--threads", "2"], ["--backend", "cuda"]])
def test_environments_are_compared_on_one_core(words: list[str], original: str, capsys: pytest.CaptureFixture[str]):
    assert env_throughput.main(["--against", "original", "--original-python", original, *words]) == 2
    assert "compares on one core" in capsys.readouterr().err


@pytest.mark.slow
def test_environments_are_measured_in_turns(original: str, capsys: pytest.CaptureFixture[str]):
    words = ["--envs", "2", "--pairs", "3", "--seconds", "0.05", "--json"]
    assert env_throughput.main(["--against", "original", "--original-python", original, *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert row["pairs"] == 3 and row["ratio"] > 1
    assert row["original"]["cogames"] == "0.8.1" and row["original"]["mettagrid"] == "0.8.4"


@pytest.mark.slow
def test_the_aligner_notebook_is_measured_in_turns(original: str, capsys: pytest.CaptureFixture[str]):
    words = ["--against", "original", "--original-python", original, "--pairs", "1", "--steps", "20", "--json"]
    assert puffer.main(words) == 0
    training, alone = json.loads(capsys.readouterr().out)["rows"]
    assert training["parameters"] == 2_538_566 and training["threads"] == 1
    assert training["original"]["pufferlib-core"].startswith("3.0") and alone["ratio"] > 1


@pytest.mark.slow
def test_a_policy_plays_on_the_originals_own_engine(original: str, capsys: pytest.CaptureFixture[str]):
    words = ["cogsguard?gear=10@cogsguard_arena.basic", "--episodes", "2", "--json"]
    assert carry_over.main(["--original-python", original, *words]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert min(row["there"]["per_episode"]) > 30 and min(row["here"]["per_episode"]) > 30
