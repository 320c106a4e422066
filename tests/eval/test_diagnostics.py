"""The three diagnostics: quiet on policies that play, loud and exact on policies that do not."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from metta.cli.diagnostics import instrumented_audit, parity_report, rollout_check
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.game.resources import ELEMENTS
from metta.policy.interface import NetHeads
from metta.policy.stored.bundle import save_bundle
from tests.nets import build_net

MIX = "miner=4&scout=2&aligner=2&scrambler=2"
GUIDES = [  # as seeds type them, without the name of the tool
    (rollout_check, f'--steps 200 --agents 10 --policy-uri "metta://policy/role?{MIX}"'),
    (rollout_check, "--steps 500 --trace-roles --trace-prereqs --trace-resources"),
    (rollout_check, "--steps 500 --agents 10 --trace-roles"),
    (
        parity_report,
        '--policy-a "metta://policy/role" --policy-b "metta://policy/role_py" --steps 500 --agents 10',
    ),
    (parity_report, "--policy-a role --policy-b role_py --steps 500"),
    (
        instrumented_audit,
        '--steps 1000 --agents 2 --policy-uri "metta://policy/role_py?miner=1&scout=1" --trace-every 200',
    ),
    (instrumented_audit, "--steps 1000 --agents 10 --trace-every 50"),
]
Tool = Callable[[list[str]], int]


def broken(name: str, **counts: int) -> str:
    words = "".join(f",kw.{key}={value}" for key, value in counts.items())
    return f"class=tests.eval.broken_policies.{name}{words}"


@pytest.mark.parametrize(("tool", "words"), GUIDES)
def test_a_command_of_the_guides_passes(tool: Tool, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert tool(shlex.split(words)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("uri", [f"metta://policy/role_py?{MIX}", "metta://policy/cogsguard?gear=10"])
def test_policies_that_play_their_roles_pass(uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rollout_check(["--policy-uri", uri]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ok"


@pytest.mark.parametrize(
    ("uri", "failure"),
    [
        (broken("NeverScouts", miner=4, scout=2, aligner=2, scrambler=2), r"roles never observed: scout"),
        (broken("MinesTheHub"), r"mine_mismatches: \d+"),
        (broken("AlignsItsOwn"), r"align_cogs_targets: \d+"),
        (broken("ForgetsOwners"), r"tagged/clipped junction mismatches: \d+"),
        (broken("Blind"), r"hub missing in structures: \d+"),
        ("random", r"roles never observed: .*aligner.*"),
    ],
)
def test_a_broken_policy_fails_on_its_counter(uri: str, failure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rollout_check(["--policy-uri", uri, "--steps", "150"]) == 1
    assert re.fullmatch(f"FAILED {failure}", capsys.readouterr().out.splitlines()[-1])


def test_the_copy_that_the_broken_policies_differ_from_passes() -> None:
    assert rollout_check(["--policy-uri", broken("Copy"), "--steps", "150"]) == 0


def test_missing_roles_may_be_allowed() -> None:
    uri = broken("NeverScouts", miner=4, scout=2)
    assert rollout_check(["--policy-uri", uri, "--steps", "20", "--allow-missing-roles"]) == 0


def test_a_role_is_asked_for_by_name_or_number_only() -> None:
    assert rollout_check(["--policy-uri", "miner", "--steps", "100"]) == 0
    assert rollout_check(["--policy-uri", "role?role_order=scout", "--steps", "100", "--agents", "1"]) == 0


def test_the_report_of_the_rollout_has_every_line(capsys: pytest.CaptureFixture[str]) -> None:
    rollout_check(shlex.split("--steps 40 --trace-roles --trace-role-every 20 --trace-prereqs --trace-resources"))
    out = capsys.readouterr().out
    for line in (
        "- steps: 40",
        r"- hub seen: \d+",
        "- hub missing in structures: 0",
        r"- neutral junctions flagged as clips: 0",
        "- observed roles: aligner, miner, scout, scrambler",
        r"- miner: mine_attempts=\d+ mine_mismatches=0 deposit_attempts=\d+",
        r"- scout: unique_positions=\d+ max_structures_seen=\d+",
        r"- aligner: gear_station_uses=2 gear_acquired=2 gear_attempts_with_resources=2 "
        "gear_attempts_without_resources=0",
        r"- miner: min=4 max=4 avg=4\.00",
        "- steps_with_all_roles: 40",
        r"step=20 roles\[aligner=2 scrambler=2 miner=4 scout=2\] present\[aligner,scrambler,miner,scout\] "
        "transitions=0",
        r"step=\d+ agent=[23] action=align gear=1 heart=\d+ influence=\d+ missing\[-\]",
        r"step=1 inv\[carbon=\d+ germanium=\d+ heart=5 influence=0 ore=\d+ oxygen=\d+ silicon=\d+\] "
        r"delta\[carbon=\+0 .*\] station_uses\[aligner=0 .*\] station_uses_with_resources\[.*\] adjacent_roles\[-\] "
        r"available_roles\[aligner,miner,scout,scrambler\]",
    ):
        assert re.search(f"^{line}$", out, re.MULTILINE), line
    assert len(re.findall(r"^step=\d+ roles", out, re.MULTILINE)) == 2


def document(tool: Tool, words: str, capsys: pytest.CaptureFixture[str]) -> dict:
    tool([*shlex.split(words), "--format", "json"])
    return json.loads(capsys.readouterr().out)


def test_counters_are_those_of_the_game(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(rollout_check, "--steps 60", capsys)
    assert found["schema_version"] == 1 and found["failure"] == "scramble_attempts: 0"  # too early for that
    assert found["gear_stations"]["miner"]["gear_acquired"] == 4
    assert found["gear_resource_windows"]["scout"] < found["steps"] == 60  # eight pieces of gear empty the stock
    assert found["asked_roles"] == ["aligner", "miner", "scout", "scrambler"]


def test_a_policy_equals_itself_and_differs_from_another(capsys: pytest.CaptureFixture[str]) -> None:
    same = document(parity_report, "--steps 50", capsys)
    assert same["policy_a"]["total_actions"] == 500 and not any(same["action_deltas"].values())
    other = document(parity_report, "--steps 50 --policy-b noop", capsys)
    assert other["policy_b"] == {
        "policy_uri": "noop", "total_actions": 500, "move_attempts": 0, "move_success": 0, "move_fail": 0,
        "move_success_rate": 0.0, "actions": {"noop": 500},
    }  # fmt: skip
    assert other["action_deltas"]["noop"] == same["policy_a"]["actions"].get("noop", 0) - 500


def test_the_audit_follows_the_teams_stock_and_what_each_agent_sees(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(instrumented_audit, "--steps 300 --trace-every 100", capsys)
    stock = [dict(re.findall(r"(\w+)=(\d+)", line.partition("delta")[0])) for line in found["resource_trace"]]
    assert len(stock) == len(found["role_trace"]) == 3
    assert int(stock[-1]["ore"]) > int(stock[0]["ore"])  # the miner delivers
    assert all(int(line["ore"]) == sum(int(line[element]) for element in ELEMENTS) for line in stock)
    miner, scout = found["charger_counts"]
    assert scout > miner and found["roles"]["scout"] == {"min": 1, "max": 1, "avg": 1.0}


def test_the_trace_shows_the_influence_of_all_agents(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--steps 20 --agents 4 --policy-uri aligner --trace-every 10"
    first, second = document(instrumented_audit, words, capsys)["resource_trace"]
    assert "influence=40" in first and "influence=80" in second and "influence=+40" in second


def test_a_network_is_checked_for_what_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = build_net("lstm", {}, env_info(Mission()), NetHeads())
    save_bundle(tmp_path / "net", net, "net", 0, 0)
    uri = str(tmp_path / "net")
    found = document(rollout_check, f"--steps 30 --policy-uri {uri} --allow-missing-roles", capsys)
    assert not found["memory"]["judged"] and not found["tells_intents"]
    assert found["memory"]["hub seen"] > 0 and found["failure"] is None
    assert rollout_check(["--policy-uri", uri, "--steps", "30"]) == 1


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("--policy-uri rolle", "did you mean role"),
        ("--agents 0", "0 is below 1"),
        ("--trace-roles --trace-role-every 0", "0 is below 1"),
        ("--steps many", "many"),
        ("--recipe recipes.experiment.cogsgard", "did you mean"),
        ("--polcy role", "--polcy"),
        ("--policy-uri class=tests.eval.broken_policies.Unfit", "no reset, step, end_episodes"),
        ("--policy-uri class=tests.eval.broken_policies.Fragile", "no such luck"),
        ("--policy-uri class=tests.eval.broken_policies.Nobody", "no class Nobody"),
        ("--policy-uri class=tests.eval.nothing.Nobody", "cannot import"),
        ("--policy-uri class=tests.eval.broken_policies.Copy,miner=3", "kw.name=value"),
    ],
)
def test_bad_input_gives_one_line(words: str, named: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert rollout_check(shlex.split(words)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and named in captured.err and not captured.out
