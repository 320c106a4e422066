"""Commands that measure policies, on a few steps of few episodes."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from metta.config.runner import run
from metta.game.missions import mission_set
from tests.cli.conftest import Cogames

SMALL = ("-e", "2", "-s", "20")
JSON = ("--format", "json")


def test_a_scrimmage_gives_all_cogs_to_one_policy(cogames: Cogames):
    document = cogames("scrimmage", "-m", "cogsguard_arena.basic", "-p", "role", *SMALL, *JSON).document
    [mission] = document["missions"]
    summary = mission["mission_summary"]
    assert document["schema_version"] == 1 and mission["mission_name"] == "cogsguard_arena.basic"
    assert (summary["episodes"], summary["max_steps"], summary["seeds"]) == (2, 20, [42, 43])
    assert [policy["agent_count"] for policy in summary["policy_summaries"]] == [8]
    assert list(summary["per_episode_per_policy_avg_rewards"]) == ["0", "1"]


@pytest.mark.parametrize("command", ["run", "evaluate", "eval"])
def test_policies_share_the_cogs_by_proportion(command: str, cogames: Cogames):
    policies = ("-p", "class=role,kw.miner=4,proportion=3", "-p", "class=random,proportion=5")
    [mission] = cogames(command, *policies, *SMALL, *JSON).document["missions"]
    assert [policy["agent_count"] for policy in mission["mission_summary"]["policy_summaries"]] == [3, 5]


def test_missions_come_as_sets_wildcards_and_files(cogames: Cogames):
    cogames("make-mission", "-c", "2", "-o", "mine.yaml")
    words = ("-m", "cogsguard_arena.*_tutorial", "-m", "mine.yaml", "-p", "noop", *SMALL)
    names = [mission["mission_name"] for mission in cogames("run", *words, *JSON).document["missions"]]
    tutorials = [f"cogsguard_arena.{role}_tutorial" for role in ("aligner", "scrambler", "scout")]
    assert names == [*tutorials, "cogsguard_arena.basic"]
    done = cogames("run", "-S", "diagnostic_evals", "-p", "noop", "-e", "1", "-s", "5", *JSON)
    names = [mission["mission_name"] for mission in done.document["missions"]]
    assert names == list(mission_set("diagnostic_evals"))


def test_the_options_change_every_mission(cogames: Cogames):
    changes = ("-c", "3", "-v", "forest", "--difficulty", "easy", "--seed", "5", "--map-seed", "9")
    [mission] = cogames("run", "-p", "noop", *changes, *SMALL, *JSON).document["missions"]
    summary = mission["mission_summary"]
    assert (summary["agents"], summary["variants"], summary["seeds"]) == (3, ["forest", "easy"], [9, 10])  # of the maps


def test_a_measurement_goes_on_from_its_file(cogames: Cogames, tmp_path: Path):
    words = ("run", "-p", "random", *SMALL, "--out", "kept.jsonl")
    first = cogames(*words, *JSON).document
    kept = (tmp_path / "kept.jsonl").read_bytes()
    assert cogames(*words, *JSON).document == first and (tmp_path / "kept.jsonl").read_bytes() == kept
    assert "0 agent-steps" in cogames(*words).out


def test_a_candidate_is_judged_by_what_it_adds_to_the_pool(cogames: Cogames):
    words = ("pickup", "-p", "role", "--pool", "random", "--pool", "noop", "-e", "2", "-s", "20")
    document = cogames(*words, *JSON).document
    assert document["mission_name"] == "cogsguard_machina_1.basic" and document["agents"] == 4
    assert [mix["candidates"] for mix in document["mixes"]] == [0, 1, 2, 3, 4]
    assert "value_over_replacement" in document and document["schema_version"] == 1


def test_a_diagnosis_is_kept_and_compared_with(cogames: Cogames, tmp_path: Path):
    words = ("diagnose", "role", "--experiments", "eval_clip_oxygen", "-e", "2", "-s", "20", *JSON)
    first = cogames(*words, "--output-dir", "before").document
    assert json.loads((tmp_path / "before" / "diagnosis.json").read_text()) == first
    assert (tmp_path / "before" / "rewards.png").stat().st_size > 1000
    [again] = cogames(*words, "--compare-run-dir", "before").document["missions"]
    assert again["before"] == again["reward"] == first["missions"][0]["reward"]


def test_a_policy_of_ones_own_is_written_played_packed_and_checked(cogames: Cogames):
    assert cogames("make-policy", "--scripted", "-o", "mine.py").out == "wrote mine.py\n"
    played = cogames("scrimmage", "-p", "class=mine.MyPolicy", *SMALL, *JSON).document
    assert played["missions"][0]["mission_summary"]["policy_summaries"][0]["faults"] == {}
    packed = cogames("create-bundle", "-p", "class=mine.MyPolicy", "-o", "mine.zip", "-k", "gear=scout")
    assert packed.code == 0 and packed.out == "wrote mine.zip\n"
    assert cogames("validate-bundle", "mine.zip", *JSON).document["ok"]
    assert "trust_code" in cogames("scrimmage", "-p", "mine.zip", *SMALL).err


BROKEN = (
    "class Broken:\n"
    "    def __init__(self, info): pass\n"
    "    def reset(self, num_envs, num_agents, seed): pass\n"
    "    def step(self, observations): raise ValueError('no idea')\n"
    "    def end_episodes(self, ended): pass\n"
)


def test_a_policy_that_never_acts_gives_exit_code_1_and_a_count(cogames: Cogames, tmp_path: Path):
    (tmp_path / "broken.py").write_text(BROKEN)
    done = cogames("run", "-p", "role", "-p", "class=broken.Broken", *SMALL)
    assert done.code == 1 and "errors (agent-steps in all)" in done.out
    assert re.search(r"Broken: no action in any of [\d,]+ agent-steps on cogsguard_arena\.basic\n", done.err)
    assert "no idea" in done.err and "role:" not in done.err


def test_a_bundle_that_fails_gives_exit_code_1(cogames: Cogames, tmp_path: Path):
    (tmp_path / "broken.py").write_text(BROKEN)
    assert cogames("create-bundle", "-p", "class=broken.Broken", "-o", "broken").code == 0
    done = cogames("validate-bundle", "broken")
    assert done.code == 1 and "no idea" in done.out and done.out.endswith("failed\n"), done


def test_everything_that_plays_has_the_same_defaults(cogames: Cogames, capsys: pytest.CaptureFixture[str]):
    measuring = ("scrimmage -p role", "run -p role", "eval -p role", "pickup -p role --pool noop", "diagnose role")
    jobs = [yaml.safe_load(cogames("--cfg", "job", *words.split()).out) for words in measuring]
    assert {(job["episodes"], job["seed"], job.get("map_seed"), job["action_timeout_ms"]) for job in jobs} == {
        (10, 42, None, 250)
    }
    assert run(["cogsguard.evaluate", "--cfg=job"]) == 0
    evaluate = yaml.safe_load(capsys.readouterr().out)
    assert (evaluate["episodes"], evaluate["seed"], evaluate["system"]["action_timeout_ms"]) == (10, 42, 250)
    assert run(["cogsguard.play", "--cfg=job"]) == 0
    plays = [yaml.safe_load(capsys.readouterr().out), yaml.safe_load(cogames("--cfg", "job", "play").out)]
    assert {(job["seed"], job["system"]["action_timeout_ms"]) for job in plays} == {(42, 250)}


def test_a_job_of_measuring_can_be_checked_and_printed(cogames: Cogames):
    told = cogames("--dry-run", "run", "-m", "cogsguard_machina_1.*", "-p", "role", "-e", "3").out
    assert told == "run role: 3 episodes of cogsguard_machina_1.basic, cogsguard_machina_1.miner_tutorial\n"
    assert "episodes: 3\n" in cogames("--cfg", "job", "pickup", "-p", "role", "--pool", "noop", "-e", "3").out


def test_a_report_shows_the_episodes_that_were_kept(cogames: Cogames, tmp_path: Path):
    done = cogames(
        "run", "-p", "role", *SMALL, "--report", "out/report.html", "--save-replay-dir", "out/replays", *JSON
    )
    [mission] = done.document["missions"]
    text = (tmp_path / "out" / "report.html").read_text()
    for name in mission["mission_summary"]["replays"].values():
        assert (tmp_path / "out" / "replays" / name).is_file() and name.removesuffix(".replay") in text
    assert "wrote out/report.html" in done.err


def test_ctrl_c_ends_a_measurement_with_what_there_is(tmp_path: Path):
    script = "import sys; from metta.cli.cogames import main; sys.exit(main(sys.argv[1:]))"
    words = ("scrimmage", "-p", "role", "-e", "5000", "-s", "200", "--out", "kept.jsonl", *JSON)
    with subprocess.Popen(
        [sys.executable, "-c", script, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        kept, patience = tmp_path / "kept.jsonl", time.monotonic() + 60
        while not (kept.is_file() and kept.read_bytes().count(b"\n") > 2) and time.monotonic() < patience:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    document = json.loads(out)
    assert process.returncode == 130 and errors.endswith("interrupted\n") and not document["complete"]
    over = document["missions"][0]["mission_summary"]["episodes"]
    assert 0 < over < 5000 and f"warning: {over} of 5000 episodes were over: what they say so far\n" in errors
