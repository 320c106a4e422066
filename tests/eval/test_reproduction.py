"""An episode is determined by mission, seed, map seed, seats and policies alone, whatever it is played with."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from metta.eval.contest import run_contest
from metta.eval.episodes import play_batch, play_episodes
from metta.eval.match import BATCH
from metta.eval.rows import EpisodeRow
from metta.eval.settings import ContestSettings
from metta.game.engine.batch import Batch
from metta.game.maps.pool import build_pool
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from metta.game.observation import env_info
from metta.policy.hosted.process import Hosting
from metta.policy.interface import Advice, Policy
from metta.policy.neural import NeuralPolicy
from metta.policy.stored.bundle import save_bundle
from metta.policy.stored.uri import make_policy
from metta.policy.team import TeamPolicy
from metta.rl.machine import one_thread_each
from tests.cli.conftest import Cogames
from tests.nets import build_net

FIRST, WANTED = 2_700, 2_711  # seeds of the first episode and of the one that is looked at
STEPS = 12
MISSION = build_mission(MissionSettings(name="cogsguard_arena.basic", max_steps=STEPS))
INFO = env_info(MISSION)
MAPS = build_pool(MISSION, 64, FIRST, 1)
SMALL = {"hidden_size": 128, "channels": [16, 32], "inputs": "kinds"}  # agent=small
NETS = {"lstm": ("lstm", {}), "small": ("tutorial", SMALL), "tutorial": ("tutorial", {}), "mlp": ("mlp", {})}
Make = Callable[[], Policy]


def trained(name: str, seed: int = 1) -> NeuralPolicy:
    """A net whose choices depend on what it sees, as those of fresh weights hardly do."""
    torch.manual_seed(seed)
    kind, settings = NETS[name]
    net = build_net(kind, settings, INFO)
    with torch.no_grad():
        net.get_parameter("_action_head.weight").mul_(300)
    return NeuralPolicy(net, name)


def team() -> TeamPolicy:
    return TeamPolicy([make_policy("role", INFO), trained("lstm"), make_policy("random", INFO)], [3, 4, 1])


def hosted(name: str) -> Policy:
    return make_policy(f"class=tests.policy.hosted.user_policies.{name}", INFO, hosting=Hosting(5_000))


class Film:
    """What happened in each environment: actions, rewards and, of a net, log-probabilities and values."""

    def begin(self, batch: Batch, policy: Policy) -> None:
        self._digests = [hashlib.sha256() for _ in range(batch.num_envs)]

    def step(self, actions: np.ndarray, rewards: np.ndarray) -> None:
        for digest, *parts in zip(self._digests, actions, rewards, strict=True):
            digest.update(b"".join(part.tobytes() for part in parts))

    def add(self, advice: Advice) -> Advice:
        for part in (advice.log_probs, advice.values):
            for digest, own in zip(self._digests, part.chunk(len(self._digests)), strict=True):
                digest.update(own.contiguous().numpy().tobytes())
        return advice

    def of(self, env: int) -> str:
        return self._digests[env].hexdigest()


def watched(policy: Policy, film: Film) -> None:
    """Let a net tell the film all that it makes of what it sees."""
    for part in policy.policies if isinstance(policy, TeamPolicy) else [policy]:
        if isinstance(part, NeuralPolicy):
            advise = part.advise
            part.advise = lambda seen, advise=advise: film.add(advise(seen))


def played(policy: Policy, seeds: list[int], film: Film) -> str:
    """The wanted episode as it was played among those of the seeds."""
    play_batch(MISSION, policy, MAPS[[seed - FIRST for seed in seeds]], seeds, 1, [film])
    return film.of(seeds.index(WANTED))


BATCHES = {
    "alone": [WANTED],
    "second of two": [FIRST + 40, WANTED],
    "first of three": [WANTED, FIRST, FIRST + 3],
    "fourth of eight": list(range(WANTED - 3, WANTED + 5)),
    "twelfth of 64": list(range(FIRST, FIRST + 64)),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with one_thread_each():
        yield


@pytest.mark.parametrize(
    "make",
    [
        *(pytest.param(lambda name=name: make_policy(name, INFO), id=name) for name in ("random", "noop")),
        *(pytest.param(lambda name=name: make_policy(name, INFO), id=name) for name in ("role", "teacher", "baseline")),
        *(pytest.param(lambda name=name: trained(name), id=name) for name in NETS),
        *(pytest.param(lambda name=name: hosted(name), id=name) for name in ("Walker", "Crowd")),
        pytest.param(team, id="team"),
    ],
)
def test_an_episode_is_the_same_whatever_is_played_beside_it(make: Make):
    policy, film = make(), Film()
    watched(policy, film)
    films = {name: played(policy, seeds, film) for name, seeds in BATCHES.items()}
    assert len(set(films.values())) == 1, films
    assert played(policy, [WANTED], film) == films["alone"]
    if isinstance(close := getattr(policy, "close", None), Callable):
        close()


def test_episodes_of_other_seeds_are_others():
    films = set()
    for seed in range(WANTED - 3, WANTED + 3):
        film = Film()
        play_batch(MISSION, make_policy("random", INFO), MAPS[:1], [seed], 1, [film])
        films.add(film.of(0))
    assert len(films) == 6


def test_a_class_that_plays_only_whole_batches_plays_each_episode_alone():
    """In this process nothing stands between a user's batched class and what asks it."""
    bare = make_policy("class=tests.policy.hosted.user_policies.Crowd", INFO)
    several = play_episodes(MISSION, bare, 3, FIRST)
    (last,) = play_episodes(MISSION, bare, 1, FIRST + 2)
    assert several[2].agent["action.move.success"].tolist() == last.agent["action.move.success"].tolist()


def contest(*policies: str, seed: int, episodes: int, **changes: object) -> list[EpisodeRow]:
    settings = {"policies": policies, "episodes": episodes, "steps": STEPS, "seed": seed, "workers": 1}
    (result,) = run_contest(ContestSettings.model_validate(settings | changes)).matches
    return [row.model_copy(update={"replay": None}) for row in result.rows]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("nets") / "mine"
    save_bundle(folder, trained("lstm").net, "mine", 1, 1)
    return str(folder)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_episode_of_a_contest_can_be_had_alone(net: str, workers: int):
    several = contest("role", net, "random", seed=70, map_seed=400, episodes=BATCH + 3, workers=workers)
    for k in (0, 4, BATCH - 1, BATCH, BATCH + 2):
        assert [several[k]] == contest("role", net, "random", seed=70 + k, map_seed=400 + k, episodes=1)
        assert (several[k].episode_seed, several[k].seed) == (70 + k, 400 + k)


def test_play_shows_what_was_scored(net: str, cogames: Cogames, tmp_path: Path):
    words = ("-m", "cogsguard_arena.basic", "-s", "25")
    games = ("--seed", "51", "--map-seed", "9", "-e", "6", "--save-replay-dir", "scored")
    walker = "class=tests.policy.hosted.user_policies.Walker"
    for policy, name in (("role?miner=3", "role"), (net, "mine"), ("random", "random"), (walker, "Walker")):
        cogames("scrimmage", "-p", policy, *words, *games)
        again = ("--seed", "54", "--map-seed", "12", "--render", "none", "--save-replay-file", f"{name}.replay")
        assert cogames("play", "-p", policy, *words, *again).code == 0
        scored = next((tmp_path / "scored").glob(f"*{name}*seed12.replay"))
        assert (tmp_path / f"{name}.replay").read_bytes() == scored.read_bytes()
