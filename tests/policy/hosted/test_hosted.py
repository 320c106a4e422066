"""A user's class plays in a process of its own: as it would here, and without harm to anything when it does not."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from metta.common.errors import UserError
from metta.eval.episodes import play_episodes
from metta.game.mission import Mission
from metta.game.missions import load_mission
from metta.game.observation import EnvInfo, env_info
from metta.policy.hosted import client as hosted
from metta.policy.hosted.client import Faults, HostedPolicy
from metta.policy.hosted.process import Hosting
from metta.policy.interface import SpaceInfo
from metta.policy.stored.uri import make_policy

ROOT = Path(__file__).parents[3]
PICKY = """import numpy as np

class Picky:
    def __init__(self, info):
        pass
    def reset(self, num_envs, num_agents, seed):
        assert num_envs == 1 and seed != 2, "not with me"
        self.seed = seed
    def step(self, observations):
        return np.full(observations.shape[:2], self.seed) if self.seed != 4 else "east"
    def end_episodes(self, ended):
        pass
"""
INFO = env_info(Mission())
CLASSES = "tests.policy.hosted.user_policies"
SHAPE = (2, 8)  # environments, agents
ALL = 16


def host(name: str, milliseconds: float = 5_000, words: str = "", info: EnvInfo = INFO) -> HostedPolicy:
    policy = make_policy(f"class={CLASSES}.{name}{words}", info, hosting=Hosting(milliseconds))
    assert isinstance(policy, HostedPolicy)
    return policy


def observations(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE, 200, 3), dtype=np.uint8)


def play(policy: HostedPolicy, steps: int) -> list[np.ndarray]:
    policy.reset(*SHAPE, seed=7)
    return [policy.step(observations(step)) for step in range(steps)]


def counts(faults: Faults) -> tuple[int, int, int]:
    return faults.timeouts, faults.errors, faults.garbage


@pytest.mark.parametrize("name", ["Walker", "Crowd"])
def test_a_class_acts_the_same_in_its_own_process_and_in_this_one(name: str):
    words = ",kw.stride=2" if name == "Walker" else ""
    here, there = make_policy(f"class={CLASSES}.{name}{words}", INFO), host(name, words=words)
    for policy in (here, there):
        policy.reset(*SHAPE, seed=3)
    seen = set()
    for step in range(12):
        actions = here.step(observations(step))
        np.testing.assert_array_equal(there.step(observations(step)), actions)
        seen |= set(actions.ravel().tolist())
        if step in (3, 4):
            for policy in (here, there):
                policy.end_episodes(np.array([step == 3, True]))
    assert len(seen) > 5 and there.faults == Faults()


def test_agents_meet_the_same_seeds_however_their_environments_are_batched():
    whole, part = host("Walker"), host("Walker")
    whole.reset(2, 8, seed=10)
    part.reset(1, 8, seed=11)
    for step in range(5):
        np.testing.assert_array_equal(whole.step(observations(step))[1:], part.step(observations(step)[1:]))


def test_a_class_is_given_the_file_that_is_named(tmp_path: Path):
    (tmp_path / "weights").write_text("move_east\n")
    policy = host("Weighted", words=f",data={tmp_path / 'weights'}")
    assert (play(policy, 1)[0] == INFO.action_names.index("move_east")).all()


MISSION = load_mission("cogsguard_arena.basic").model_copy(update={"max_steps": 20})


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("Raises", "errors", r"ValueError: no such luck at all, user_policies\.py line \d+"),
        ("Hangs", "timeouts", r"no answer within 400 ms"),
        ("ReturnsNone", "garbage", r"Marcher|ReturnsNone\.step: returned None"),
    ],
)
def test_a_broken_class_plays_its_episodes_to_the_end(
    name: str, kind: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hosted, "GRACE", 0.2)
    policy = host(name, milliseconds=200, info=env_info(MISSION))
    episodes = play_episodes(MISSION, policy, episodes=2, seed=5)
    assert [episode.steps for episode in episodes] == [20, 20]
    moves = [episode.agent["action.move.success"] + episode.agent["action.move.failed"] for episode in episodes]
    assert all((moved <= 2).all() for moved in moves)
    assert getattr(policy.faults, kind) == policy.faults.total == 18 * 2 * MISSION.agents
    line = policy.faults.lines()[0]
    assert line.startswith(f"{policy.faults.total} agent-steps without an action ({kind})") and re.search(message, line)


@pytest.mark.parametrize("name", ["ReturnsNone", "ReturnsNaN", "ReturnsAnotherShape"])
def test_no_array_of_actions_is_garbage_and_nobody_acts(name: str):
    policy = host(name)
    *good, bad = play(policy, 3)
    assert all((actions == 1).all() for actions in good) and (bad == 0).all()
    assert counts(policy.faults) == (0, 0, ALL)
    assert f"{name}.step: returned" in policy.faults.first["garbage"]


def test_an_action_out_of_range_is_garbage_of_its_agent_alone():
    policy = host("ReturnsTooMuch")
    actions = play(policy, 3)[-1]
    assert actions[0, 0] == 0 and actions.sum() == ALL - 1 and counts(policy.faults) == (0, 0, 1)
    assert policy.faults.first["garbage"] == "ReturnsTooMuch.step: returned 1000; actions are 0 to 11"


def test_agents_that_play_for_themselves_err_for_themselves():
    policy = host("OneOfUs", milliseconds=250)
    actions = play(policy, 2)[-1]
    assert actions.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1]] * 2
    assert counts(policy.faults) == (4, 4, 12)
    assert policy.faults.first["errors"].startswith("KeyError: 'lost'")
    assert re.fullmatch(r"OneOfUs\.act took \d+ ms, the limit is 250 ms", policy.faults.first["timeouts"])
    assert "did you mean move_north" in policy.faults.first["garbage"]


def test_a_late_answer_is_thrown_away_and_the_class_stays_in_step():
    policy = host("SlowOnce", milliseconds=200)  # 400 ms for both environments
    actions = play(policy, 5)
    assert [int(step[0, 0]) for step in actions] == [1, 1, 0, 4, 0]  # its fourth and fifth step, not its third
    assert counts(policy.faults) == (ALL, 0, 0)
    assert policy.faults.first == {"timeouts": "no answer within 400 ms"}


def test_a_class_that_hangs_is_ended_and_begins_anew_with_the_next_reset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hosted, "GRACE", 0.2)
    policy = host("Hangs", milliseconds=150)
    start = time.monotonic()
    actions = play(policy, 200)
    assert time.monotonic() - start < 3
    assert sum(int(step.sum()) for step in actions) == 2 * ALL and policy.faults.timeouts == 198 * ALL
    assert policy.faults.lines()[-1] == "the policy was stopped: no answer 0.2 s after the limit"
    assert (play(policy, 2)[-1] == 1).all()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("Exits", "ended itself with exit code 3"),
        ("IsKilled", "by SIGKILL, as for want of memory"),
        ("Crashes", "was ended by SIG(SEGV|BUS)"),
    ],
)
def test_a_process_that_dies_is_an_error_and_begins_anew_with_the_next_reset(name: str, how: str):
    policy = host(name)
    assert (play(policy, 5)[-1] == 0).all() and counts(policy.faults) == (0, 3 * ALL, 0)
    assert re.search(how, policy.faults.first["errors"])
    assert (play(policy, 2)[-1] == 1).all()


def test_a_class_that_ends_its_program_is_kept_from_it():
    policy = host("QuitsPolitely")
    play(policy, 4)
    assert counts(policy.faults) == (0, 2 * ALL, 0) and policy.faults.ended == ""


def test_a_class_that_cannot_begin_an_episode_errs_in_all_its_steps():
    policy = host("CannotBegin")
    play(policy, 3)
    assert counts(policy.faults) == (0, 3 * ALL, 0) and "not today" in policy.faults.first["errors"]


def test_a_process_that_writes_over_its_own_wires_harms_only_itself():
    policy = host("Scribbles")
    assert (play(policy, 4)[-1] == 0).all()
    assert policy.faults.total == 2 * ALL


def test_what_a_class_prints_goes_to_standard_error(capfd: pytest.CaptureFixture[str]):
    play(host("Talks"), 3)
    out, err = capfd.readouterr()
    assert out == "" and err.splitlines() == ["what I print", "what I start prints"]


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        (f"class={CLASSES}.Nobody", r"has no class Nobody$"),
        (f"class={CLASSES}.Wlker", r"has no class Wlker \(did you mean Walker\?\)"),
        ("class=tests.policy.nothing.Nobody", r"cannot import tests\.policy\.nothing \(ModuleNotFoundError: .*\)"),
        (f"class={CLASSES}.Neither", r"Neither is no policy, it has no reset, step, end_episodes \(nor reset and act"),
        (f"class={CLASSES}.Walker,kw.stride=far", r"cannot be built \(ValueError: .*, user_policies\.py line \d+\)"),
        (f"class={CLASSES}.Walker,stride=2", r"cannot read 'stride=2'; the form is class=module\.Class"),
        (f"class={CLASSES}.Walker,data=README.md", r"Walker has no method load"),
        (f"class={CLASSES}.Weighted,data=nothing", r"no such file nothing"),
    ],
)
@pytest.mark.parametrize("hosting", [None, Hosting()], ids=["here", "hosted"])
def test_a_class_that_cannot_play_is_refused_in_one_line(uri: str, problem: str, hosting: Hosting | None):
    with pytest.raises(UserError, match=rf"^{re.escape(uri)}: .*{problem}") as error:
        make_policy(uri, INFO, hosting=hosting)
    assert "\n" not in str(error.value)


def test_a_class_that_is_never_ready_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hosted, "START_SECONDS", 1.0)
    with pytest.raises(UserError, match=r"NeverReady: not ready after 1 s$"):
        host("NeverReady")
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"EndsWhenBuilt: its process ended itself with exit code 5$"):
        host("EndsWhenBuilt")


def test_a_dotted_name_alone_is_a_class_unless_a_file_or_run_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    name = f"{CLASSES}.Walker"
    assert isinstance(make_policy(f"{name},kw.stride=2", INFO, hosting=Hosting()), HostedPolicy)
    (tmp_path / name).write_text("no weights")
    with pytest.raises(UserError, match="neither safetensors"):
        make_policy(name, INFO)


def test_an_interrupted_step_is_no_harm_to_the_next():
    policy = host("SlowOnce")
    play(policy, 2)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            policy.step(observations())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert (policy.step(observations()) == 4).all() and policy.faults == Faults()


PARENT = f"""
import sys
import numpy as np
from metta.game.mission import Mission
from metta.game.observation import env_info
from metta.policy.hosted.process import Hosting
from metta.policy.stored.uri import make_policy
policy = make_policy("class={CLASSES}.HangsInC", env_info(Mission()), hosting=Hosting(60_000))
policy.reset(1, 8, 0)
try:
    for _ in range(5):
        policy.step(np.zeros((1, 8, 200, 3), np.uint8))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_nothing_outlives_the_process_that_asked_for_it(number: int, code: int, tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    written = tmp_path / "pids"
    _wait_for(lambda: written.exists() and len(written.read_text().split()) == 2)
    children = [int(pid) for pid in written.read_text().split()]
    assert all(psutil.pid_exists(pid) for pid in children)
    os.killpg(parent.pid, number)  # as the terminal does for Ctrl-C
    assert parent.wait(20) == code
    _wait_for(lambda: not any(_runs(pid) for pid in children))
    assert parent.stderr is not None and parent.stderr.read() == b""


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_class_plays_environments_of_other_libraries_too():
    info = SpaceInfo(observation_shape=(3,), observation_dtype="float32", action_sizes=(4, 2), num_agents=1)
    policy = host("Space", info=info)
    policy.reset(2, 1, seed=0)
    assert policy.step(np.full((2, 1, 3), 1.5, np.float32)).tolist() == [[6], [6]]


def test_the_process_of_a_class_starts_without_torch():
    assert (play(host("Light"), 1)[0] == 1).all()


def test_where_each_environment_is_played_by_itself_a_batched_class_errs_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An object of the class for each, none of which the faults of another touch."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picky.py").write_text(PICKY)
    policy = make_policy("class=picky.Picky", INFO, hosting=Hosting(5_000))
    assert isinstance(policy, HostedPolicy)
    for seeds in ([1, 2, 3, 4], [2, 3]):
        policy.reset_each(8, seeds)
        steps = [policy.step(np.zeros((len(seeds), 8, 200, 3), np.uint8)) for _ in range(3)]
        wrong = np.isin(seeds, [2, 4])
        assert [actions[:, 0].tolist() for actions in steps] == [np.where(wrong, 0, seeds).tolist()] * 3
    assert counts(policy.faults) == (0, (3 + 3) * 8, 3 * 8)
    policy.close()
