"""Scripted policies: what they read from observations, what they publish, and that every name plays."""

from pathlib import Path

import numpy as np
import pytest

from metta.common.errors import UserError
from metta.eval.episodes import episode_metrics, play_episodes
from metta.game.engine.batch import EnvBatch
from metta.game.maps.pool import build_pool
from metta.game.mission import Mission, MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.game.resources import ELEMENTS
from metta.policy.scripted import layout as L
from metta.policy.scripted.names import SCRIPTS
from metta.policy.scripted.policy import ROLES, ScriptedPolicy
from metta.policy.stored.uri import make_policy


def mission(name: str = "cogsguard_arena.basic", steps: int = 60, cogs: int | None = None, **more: object) -> Mission:
    return build_mission(MissionSettings.model_validate({"name": name, "max_steps": steps, "cogs": cogs, **more}))


def scripted(uri: str, game: Mission) -> ScriptedPolicy:
    policy = make_policy(uri, env_info(game))
    assert isinstance(policy, ScriptedPolicy)
    return policy


class Play:
    """A batch of environments, stepped with a policy."""

    def __init__(self, uri: str, game: Mission, envs: int = 2, seed: int = 5, auto_reset: bool = False) -> None:
        self.batch = EnvBatch(game, envs, maps=build_pool(game, envs, seed), seed=seed, auto_reset=auto_reset)
        self.policy, shape = scripted(uri, game), (envs, game.agents)
        self.observations = np.zeros((*shape, 200, 3), np.uint8)
        self.rewards = np.zeros(shape, np.float32)
        self.terminals, self.truncations = np.zeros(shape, bool), np.zeros(shape, bool)
        self.batch.reset(self.observations)
        self.policy.reset(envs, game.agents, seed)

    def step(self) -> np.ndarray:
        actions = self.policy.step(self.observations)
        self.batch.step(actions, self.observations, self.rewards, self.terminals, self.truncations)
        ended = np.any(self.terminals | self.truncations, axis=1)
        if ended.any():
            self.policy.end_episodes(ended)
        return actions

    def run(self, steps: int) -> list[np.ndarray]:
        return [self.step() for _ in range(steps)]


def hub(play: Play, env: int) -> tuple[int, int]:
    found = next(thing for thing in play.batch.objects(env) if thing["type"] == "c:hub")
    return found["row"], found["col"]


@pytest.fixture(scope="module")
def seen() -> Play:
    """Two environments after 150 steps, the last observation read too."""
    play = Play("cogsguard", mission(steps=1000))
    play.run(150)
    play.policy.step(play.observations)
    return play


@pytest.mark.parametrize("env", [0, 1])
def test_agents_know_where_they_are(seen: Play, env: int) -> None:
    agents = seen.policy._state.agents[env * 8 : env * 8 + 8]
    row, col = hub(seen, env)
    mine = agents[:, [L.AG_ROW, L.AG_COL]] - L.HALF + [row, col]
    assert np.array_equal(mine, seen.batch.positions()[env])


@pytest.mark.parametrize("env", [0, 1])
def test_inventories_and_team_stock_are_read_from_tokens(seen: Play, env: int) -> None:
    agents = seen.policy._state.agents[env * 8 : env * 8 + 8]
    assert np.array_equal(agents[:, L.AG_ITEM : L.AG_ITEM + 13], seen.batch.inventories()[env])
    stock = seen.policy._state.minds[env, L.MI_STOCK : L.MI_STOCK + 4]
    team = seen.batch.team_inventory()[env, 1]
    assert np.array_equal(stock, team[5 : 5 + len(ELEMENTS)])


@pytest.mark.parametrize("env", [0, 1])
def test_remembered_things_stand_where_the_game_has_them(seen: Play, env: int) -> None:
    state, (row, col) = seen.policy._state, hub(seen, env)
    real = {(thing["row"], thing["col"]): thing for thing in seen.batch.objects(env)}
    fresh = 0
    for kind, cell, owner, stock, when in state.things[env, : state.minds[env, L.MI_THINGS], :5]:
        if kind == L.GONE or when < state.minds[env, L.MI_STEP]:
            continue  # used up, or not in view now
        thing = real[cell // L.SIZE - L.HALF + row, cell % L.SIZE - L.HALF + col]
        assert thing["owner"] == {L.NEUTRAL: None, L.OURS: "cogs", L.THEIRS: "clips"}[owner]
        if kind >= L.EXTRACTOR:
            assert thing["type"] == f"{ELEMENTS[kind - L.EXTRACTOR]}_extractor"
            assert thing["stock"] == stock
        fresh += 1
    assert fresh > 10


def test_areas_are_the_unions_of_discs_around_what_is_owned(seen: Play) -> None:
    state = seen.policy._state
    rows, cols = np.divmod(np.arange(L.CELLS), L.SIZE)
    expected = np.zeros(L.CELLS, int)
    for kind, cell, owner in state.things[0, : state.minds[0, L.MI_THINGS], :3]:
        if owner == L.OURS and kind in (L.HUB, L.JUNCTION, L.TEAM_JUNCTION):
            near = (rows - cell // L.SIZE) ** 2 + (cols - cell % L.SIZE) ** 2 <= L.RADIUS**2
            expected += near
    assert np.array_equal(state.friend[0], expected)


def test_roles_tasks_and_targets_are_published(seen: Play) -> None:
    policy = seen.policy
    assert policy.roles.shape == policy.tasks.shape == (2, 8)
    assert policy.targets.shape == (2, 8, 2)
    assert {ROLES[role] for role in policy.roles.ravel()} <= {"aligner", "scrambler", "miner", "scout"}
    assert {L.TASKS[task] for task in policy.tasks.ravel()} & {"mine", "deposit", "align"}


def test_the_pending_action_is_the_one_that_was_answered() -> None:
    play = Play("cogsguard", mission())
    for _ in range(20):
        assert np.array_equal(play.step(), play.policy.pending)


@pytest.mark.parametrize(
    ("uri", "roles"),
    [
        ("cogsguard", {"aligner", "scrambler", "miner"}),
        ("wombo", {"aligner", "scrambler", "miner", "scout"}),
        ("role_py?miner=4&scout=2&aligner=2&scrambler=2", {"aligner", "scrambler", "miner"}),  # eight agents
        ("teacher", {"aligner", "scrambler", "miner", "scout"}),
        ("miner", {"miner"}),
    ],
)
def test_a_policy_tells_which_roles_it_casts(uri: str, roles: set[str]) -> None:
    assert Play(uri, mission(), envs=1).policy.cast == roles


@pytest.mark.parametrize("uri", ["cogsguard", "teacher", "cogsguard?shared=false"])
def test_a_saved_policy_goes_on_bit_for_bit(uri: str) -> None:
    play = Play(uri, mission(steps=70), auto_reset=True)
    play.run(40)
    other = scripted(uri, mission(steps=70))
    other.reset(2, 8, 5)
    other.load_state_dict(play.policy.state_dict())
    for _ in range(50):
        expected = other.step(play.observations)
        assert np.array_equal(play.step(), expected)
        other.end_episodes(np.any(play.terminals | play.truncations, axis=1))


def test_a_state_of_other_numbers_is_refused() -> None:
    play, other = Play("cogsguard", mission(), envs=2), Play("cogsguard", mission(), envs=3)
    with pytest.raises(ValueError, match="saved"):
        other.policy.load_state_dict(play.policy.state_dict())


def test_a_role_is_shown_by_vibe(seen: Play) -> None:
    vibes = {"aligner": 4, "scrambler": 3, "miner": 5, "scout": 6}
    shown = seen.batch.vibes()
    agree = [shown[e, a] == vibes[ROLES[role]] for (e, a), role in np.ndenumerate(seen.policy.roles)]
    assert np.mean(agree) > 0.8  # an agent whose role has just changed shows it a step later


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_name_plays(name: str) -> None:
    play = Play(f"metta://policy/{name}", mission(steps=40), envs=1)
    moves = np.concatenate(play.run(40))
    assert ((moves > 0) & (moves < 5)).mean() > 0.5


@pytest.mark.parametrize("site", ["cogsguard_machina_1.basic", "aligner_tutorial", "miner_tutorial", "scout_tutorial"])
@pytest.mark.parametrize("uri", ["cogsguard?gear=10", "cogsguard?shared=false"])
def test_it_plays_every_site_with_the_actions_there_are(site: str, uri: str) -> None:
    game = mission(site, steps=30)
    play = Play(uri, game, envs=1)
    actions = np.concatenate(play.run(30))
    assert actions.max() < len(env_info(game).action_names)
    assert (actions > 0).mean() > 0.4


@pytest.mark.parametrize("cogs", [1, 2, 20])
def test_it_plays_with_any_number_of_agents(cogs: int) -> None:
    play = Play("cogsguard", mission(cogs=cogs, steps=60), envs=1)
    assert (np.concatenate(play.run(60)) > 0).mean() > 0.4


def test_it_holds_many_junctions_at_the_end_of_an_episode() -> None:
    game = mission(steps=400)
    episodes = play_episodes(game, scripted("cogsguard?gear=10", game), 3, 77)
    held = np.mean([episode_metrics(episode)["env_collective/cogs/aligned.junction"] for episode in episodes])
    assert held > 30


def test_the_first_hearts_are_shared_out_among_the_aligners() -> None:
    play, most = Play("cogsguard", mission(steps=1000), envs=4), 0
    for _ in range(55):
        play.step()
        most = max(most, int(play.batch.inventories()[:, :, 1].max()))
    assert most == 3  # of the five that the hub has


def test_an_aligner_that_used_its_last_heart_seldom_goes_on_outwards() -> None:
    """Far from the hub it goes home, or looks around on the way; outwards only if it would have to wait there."""
    play, outwards, all_steps = Play("cogsguard", mission(steps=1000), envs=4), 0, 0
    for _ in range(300):
        play.step()
        empty = (play.policy.roles == ROLES.index("aligner")) & (play.batch.inventories()[:, :, 1] == 0)
        for e, a in np.argwhere(empty):
            way = np.abs(play.batch.positions()[e, a] - hub(play, e)).sum()
            looks = play.policy.tasks[e, a] == L.TASKS.index("explore")
            outwards += way > 15 and looks and np.abs(play.policy.targets[e, a]).sum() > way + 1
            all_steps += way > 15
    assert outwards < 0.1 * all_steps


def test_a_team_shares_one_mind_and_a_loner_has_its_own() -> None:
    team, loners = Play("cogsguard", mission()), Play("cogsguard?shared=false", mission())
    team.step()
    loners.step()
    assert team.policy.minds.tolist() == [[0] * 8, [1] * 8]
    assert loners.policy.minds.tolist() == np.arange(16).reshape(2, 8).tolist()


def test_an_agent_that_can_carry_fewer_hearts_than_it_wants_does_not_wait_for_more() -> None:
    """The mission limits hearts to 3, which no token tells."""
    game = mission("cogsguard_arena.aligner_tutorial", steps=400)
    episode = play_episodes(game, scripted("cogsguard", game), episodes=1, seed=3)[0]
    assert episode.agent["junction.aligned_by_agent"].sum() > 15


def test_the_way_of_an_agent_that_is_led_elsewhere_begins_where_it_stands() -> None:
    play, random = Play("cogsguard?gear=10", mission(steps=1000)), np.random.default_rng(0)
    state, ways = play.policy._state, 0
    for _ in range(100):
        actions = play.policy.step(play.observations)
        for g, agent in enumerate(state.agents):
            way = state.paths[g, agent[L.AG_AT] : agent[L.AG_LENGTH]]
            ways += len(way) > 0
            assert not len(way) or agent[L.AG_CELL] + sum(L.STEPS[move] for move in way) == agent[L.AG_GOAL]
        led = random.random(actions.shape) < 0.5
        executed = np.where(led, random.integers(0, 5, actions.shape), actions).astype(np.int32)
        play.batch.step(executed, play.observations, play.rewards, play.terminals, play.truncations)
    assert ways > 1000


def test_same_seed_same_actions_and_another_seed_others() -> None:
    first, second = (Play("cogsguard", mission(steps=200)).run(120) for _ in range(2))
    assert np.array_equal(first, second)


def test_environments_do_not_depend_on_each_other() -> None:
    alone, among = Play("cogsguard", mission(steps=200), envs=1), Play("cogsguard", mission(steps=200), envs=3)
    assert np.array_equal([step[0] for step in alone.run(100)], [step[0] for step in among.run(100)])


def test_memory_ends_with_the_episode() -> None:
    play = Play("cogsguard", mission(steps=50), auto_reset=True)
    play.run(51)
    assert (play.policy._state.minds[:, L.MI_STEP] == 1).all()


def test_without_sharing_an_agent_knows_what_it_saw_itself() -> None:
    play = Play("cogsguard?shared=false", mission(steps=200), envs=1)
    play.run(60)
    known = play.policy._state.minds[:, L.MI_THINGS]
    assert len(known) == 8
    assert known.max() > known.min()


@pytest.mark.parametrize(
    ("uri", "roles"),
    [
        ("role_py?miner=4&scout=2&aligner=2&scrambler=2", ["scrambler"] * 2 + ["aligner"] * 2 + ["miner"] * 4),
        ("role_py", ["scrambler"] + ["miner"] * 4 + ["none"] * 3),
        ("role?role_cycle=miner,aligner", ["miner", "aligner"] * 4),
        ("role_py?role_order=scout,miner", ["scout", "miner"] + ["none"] * 6),
        ("cogsguard?gear=10", ["none"] * 8),
        ("cogsguard?gear=3", ["none"] * 3 + ["miner"] * 5),
        ("cogsguard_v2", ["scrambler"] * 2 + ["aligner"] * 2 + ["scout"] + ["miner"] * 3),
        ("teacher", ["miner", "scout", "aligner", "scrambler"] * 2),
        ("dinky:v15", ["none"] * 8),
    ],
)
def test_roles_are_laid_out_as_the_parameters_say(uri: str, roles: list[str]) -> None:
    play = Play(uri, mission(), envs=1)
    play.step()
    fixed = play.policy._state.agents[:, L.AG_FIXED]
    assert [ROLES[role] for role in fixed] == roles


def test_the_teacher_rotates_roles_by_episode() -> None:
    play = Play("teacher", mission(steps=5), envs=1, auto_reset=True)
    play.run(6)
    assert [ROLES[role] for role in play.policy._state.agents[:, L.AG_FIXED]] == [
        "scout", "aligner", "scrambler", "miner", "scout", "aligner", "scrambler", "miner",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("metta://policy/cogsgard", "did you mean cogsguard"),
        ("cogsguard?geer=10", "did you mean gear"),
        ("cogsguard?gear=many", "gear='many'"),
        ("cogsguard?gear=-1", "greater than or equal to 0"),
        ("cogsguard?gear", "not of the form name=value"),
        ("role?role_cycle=minor", "did you mean miner"),
        ("random?gear=1", "takes no parameters"),
    ],
)
def test_a_wrong_name_or_parameter_gives_one_line(uri: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")) as caught:
        make_policy(uri, env_info(Mission()), tmp_path)
    assert "\n" not in str(caught.value)
