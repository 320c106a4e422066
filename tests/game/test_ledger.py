"""Resources appear and vanish only by the listed rules: every step of random play is balanced like an account."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.game.engine.batch import EnvBatch
from metta.game.mission import MissionSettings
from metta.game.missions import build_mission
from tests.game.ledger import Account, check_bounds, check_elements, check_limits, check_places
from tests.game.play import draw
from tests.game.reference.twin import Buffers

# Everything lies in the hub's area: nobody is without hp at a station.
BASE = ["J.C.a..S@J", ".@..@.O.@.", "x.J.@H.m..", "@.S.G..@.s", "..O@.C..j."]
ENVS, STEPS = 2, 60
DEEDS = ("carbon.gained", "oxygen.deposited", "heart.gained", "aligner.gained", "junction.aligned_by_agent")


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**31),
    variants=st.lists(st.sampled_from(["no_clips", "dark_side", "energized", "clips_hard"]), max_size=2),
    cog=st.fixed_dictionaries({}, optional={"heart_limit": st.integers(0, 4), "cargo_limit": st.integers(0, 9)}),
    wealth=st.integers(0, 4),
    limit=st.sampled_from([60, 10000]),
    quirk=st.sampled_from(["bonuses_do_not_add", "full_bag_burns_elements", "hub_junction_is_special"]),
)
def test_every_step_of_random_play_adds_up(
    seed: int, variants: list[str], cog: dict[str, int], wealth: int, limit: int, quirk: str
):
    deeds = play(
        seed, variants=variants, cog=cog, teams={"cogs": {"wealth": wealth}}, team_element_limit=limit,
        quirks={quirk: False},
    )  # fmt: skip
    assert deeds["action.move.success"]


def test_random_play_does_what_the_books_are_about():
    deeds = sum((play(seed, variants=["no_clips"], max_steps=400) for seed in range(2)), Counter[str]())
    assert [deed for deed in DEEDS if not deeds[deed]] == []


def play(seed: int, **changed: object) -> Counter[str]:
    """Balance every step of an episode of random play; returns what the agents did."""
    mission = build_mission(MissionSettings.model_validate({"cogs": 8, "max_steps": STEPS} | changed))
    batch = EnvBatch(mission, ENVS, maps=draw(BASE)[None], seed=seed, auto_reset=False)
    buffers = Buffers.of(ENVS, 8)
    batch.reset(buffers.observations)
    accounts = [Account.of(batch, e) for e in range(ENVS)]
    rng = np.random.default_rng(seed)
    for _ in range(mission.max_steps):
        buffers.step(batch, rng.integers(0, 5, (ENVS, 8), np.int32))
        for e, before in enumerate(accounts):
            accounts[e] = after = Account.of(batch, e)
            check_elements(mission, before, after)
            check_bounds(mission, before, after)
            check_limits(mission, after.held)
            check_places(batch, e)
    return Counter({deed: int(sum(a.agents(deed).sum() for a in accounts)) for deed in accounts[0].statistics.agent})
