"""What is left to chance is as likely as the rules say. Seeds are fixed: the limits hold or they do not."""

import json
from pathlib import Path

import numpy as np
import pytest

from metta.game.engine.batch import EnvBatch
from metta.game.maps.ascii import read_map
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from tests.game.play import EAST, NORTH, SOUTH, WEST, Play
from tests.game.reference.twin import Buffers

MAPS = Path(__file__).parents[1] / "fixtures" / "maps"
RECORDED = json.loads((MAPS / "clips_statistics.json").read_text())
ENVS = 800
LIMIT = {3: 16.27, 5: 20.52, 6: 22.46}  # 99.9 % points of chi-square by degrees of freedom


def surprise(counts: np.ndarray) -> float:
    """Chi-square of counts that should be equal."""
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize(
    ("name", "site", "difficulty", "envs"),
    [
        ("arena_hard_noop_8", "cogsguard_arena", "hard", 20),
        ("arena_medium_noop_8", "cogsguard_arena", "medium", 20),
        ("machina1_default_noop_8", "cogsguard_machina_1", None, 6),
    ],
)
def test_clips_hold_as_many_junctions_of_idle_cogs_as_was_recorded(name: str, site: str, difficulty: str, envs: int):
    recorded = RECORDED[name]
    mission = build_mission(MissionSettings.model_validate({"name": site, "difficulty": difficulty}))
    batch = EnvBatch(mission, envs, maps=read_map(MAPS / f"{site}_00.txt")[None], seed=1, auto_reset=False)
    buffers = Buffers.of(envs, 8)
    batch.reset(buffers.observations)
    idle = np.zeros((envs, 8), np.int32)
    for step in range(1, recorded["t"][-1] + 1):
        buffers.step(batch, idle)
        if step in recorded["t"]:
            held = [sum(thing["owner"] == "clips" for thing in batch.objects(e)) for e in range(envs)]
            k = recorded["t"].index(step)
            assert (np.mean(held), np.std(held)) == (recorded["mean"][k], recorded["sd"][k]), step


def struck(play: Play, owner: str | None, was: list[list[str | None]]) -> np.ndarray:
    """How often each junction has come to `owner` since `was`."""
    now = [play.owners(e) for e in range(ENVS)]
    return ((np.array(was) != owner) & (np.array(now) == owner)).sum(0)


def test_each_target_of_the_clips_is_equally_likely():
    """Six junctions of the cogs: one is taken at step 2, one freed at 4; that one alone is neutral at 6."""
    times = {"initial_clips_start": 2, "scramble_start": 4, "align_start": 6}
    play = Play(["@jjj...jjj"], envs=ENVS, clips=times)
    shares = []
    for owner in ("clips", None, "clips"):
        play.step()
        was = [play.owners(e) for e in range(ENVS)]
        play.step()
        counts = struck(play, owner, was)
        assert counts.sum() == ENVS
        shares.append(surprise(counts))
    assert max(shares) < LIMIT[5], shares


def test_each_neutral_junction_is_equally_likely_to_be_the_next():
    play = Play(["@JJJ.JJJJ"], envs=ENVS, clips={"initial_clips_start": 1, "align_start": 2, "align_interval": 1})
    play.step()
    for taken in range(2, 7):
        was = [play.owners(e) for e in range(ENVS)]
        play.step()
        counts = struck(play, "clips", was)
        assert counts.sum() == ENVS and surprise(counts) < LIMIT[6], taken


def test_several_first_targets_are_an_equally_likely_set():
    play = Play(["@JJJJ"], envs=ENVS, clips={"initial_clips_start": 1, "initial_clips_spots": 2})
    play.step()
    pairs = [tuple(owner == "clips" for owner in play.owners(e)) for e in range(ENVS)]
    _, counts = np.unique(pairs, axis=0, return_counts=True)
    assert len(counts) == 6 and surprise(counts) < LIMIT[5]


def test_each_agent_is_equally_likely_to_act_first():
    """Four go for the cell between them."""
    play = Play(["#@#", "@.@", "#@#"], envs=ENVS)
    play.step(SOUTH, EAST, WEST, NORTH)
    success = play.batch.successes()
    assert (success.sum(1) == 1).all() and surprise(success.sum(0)) < LIMIT[3]
