"""Missions of one's own: a YAML file, changes on top of it, and what is wrong with it in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from metta.common.errors import UserError
from metta.game.engine.batch import EnvBatch
from metta.game.maps import cells
from metta.game.maps.pool import build_pool
from metta.game.maps.sites import HubSettings, MapSettings
from metta.game.mission import ClipsSettings, CogSettings, Mission, MissionSettings, RewardEntry, TeamSettings
from metta.game.missions import build_mission, inlined

EXAMPLES = Path(__file__).parents[2] / "docs" / "missions"
PICTURE = "#######\n#@...H#\n#@.J..#\n#######\n"


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def build(name: str, **changes: Any) -> Mission:
    return build_mission(MissionSettings.model_validate({"name": name, **changes}))


def play(mission: Mission, steps: int = 50) -> EnvBatch:
    batch = EnvBatch(mission, 2, maps=build_pool(mission, 2, seed=3), auto_reset=False)
    shape = (2, mission.agents)
    observations = np.zeros((*shape, 200, 3), np.uint8)
    rewards, ends = np.zeros(shape, np.float32), np.zeros(shape, bool)
    batch.reset(observations)
    random = np.random.default_rng(0)
    for _ in range(steps):
        actions = random.integers(0, len(batch.info.action_names), shape).astype(np.int32)
        batch.step(actions, observations, rewards, ends, ends.copy())
    return batch


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_of_the_docs_build_and_play(path: Path):
    mission = build(str(path))
    assert mission.name == path.stem and mission.description
    assert play(mission).statistics(0).steps == 50


def test_a_file_changes_its_base(tmp_path: Path):
    file = write(tmp_path / "mine.yaml", "base: aligner_tutorial\nmax_steps: 300\ncog: {heart_limit: 7}\n")
    mission = build(file)
    assert (mission.name, mission.max_steps, mission.built_steps) == ("mine", 300, None)
    assert (mission.cog.heart_limit, mission.cog.energy_limit) == (7, 20)
    assert mission.agents == 4 and mission.clips.disabled and mission.rewards == ["aligner"]


def test_settings_beside_a_file_change_what_the_file_says(tmp_path: Path):
    file = write(tmp_path / "mine.yaml", "variants: [easy]\ncog: {heart_limit: 7, cargo_limit: 9}\nmax_steps: 300\n")
    mission = build(file, variants=["dark_side"], cog={"heart_limit": 2}, cogs=3, max_steps=100)
    assert mission.variants == ["easy", "dark_side"]
    assert (mission.cog.heart_limit, mission.cog.cargo_limit, mission.agents) == (2, 9, 3)
    assert (mission.max_steps, mission.built_steps) == (100, 300)


def test_files_may_build_on_files(tmp_path: Path):
    write(tmp_path / "first.yaml", "cog: {heart_limit: 7, cargo_limit: 9}\nteams: {cogs: {wealth: 2}}\n")
    mission = build(write(tmp_path / "second.yaml", "base: first.yaml\ncog: {heart_limit: 1}\n"))
    assert (mission.name, mission.cog.heart_limit, mission.cog.cargo_limit) == ("second", 1, 9)
    assert mission.teams["cogs"].wealth == 2


def test_what_a_file_said_is_kept_when_the_files_are_gone(tmp_path: Path):
    write(tmp_path / "room.txt", PICTURE)
    write(tmp_path / "first.yaml", "map: {picture: room.txt}\ncogs: 2\n")
    file = write(tmp_path / "second.yaml", "base: first.yaml\ncog: {heart_limit: 1}\n")
    before = build(file)
    saved = yaml.safe_dump(inlined(MissionSettings(name=file)).model_dump(mode="json"))
    for path in tmp_path.iterdir():
        path.unlink()
    after = build_mission(MissionSettings.model_validate(yaml.safe_load(saved)))
    assert after == before
    assert after.map.picture == PICTURE


def test_a_map_is_drawn_in_the_file_or_beside_it(tmp_path: Path):
    inline = "cogs: 2\nmap:\n  picture: |\n" + "".join(f"    {row}\n" for row in PICTURE.splitlines())
    write(tmp_path / "room.txt", PICTURE)
    beside = build(write(tmp_path / "beside.yaml", "cogs: 2\nmap: {picture: room.txt}\n"))
    inside = build(write(tmp_path / "inside.yaml", inline))
    assert (build_pool(beside, 1, 0) == build_pool(inside, 1, 0)).all()
    assert build("cogsguard_arena.basic", cogs=2, map={"picture": PICTURE}).map.picture == PICTURE


def test_spare_pads_of_a_drawn_map_are_left_out_at_random(tmp_path: Path):
    mission = build("cogsguard_arena.basic", cogs=1, map={"picture": "#####\n#@.@#\n#@H@#\n#####\n"})
    maps = build_pool(mission, 40, seed=0)
    assert ((maps == cells.AGENT).reshape(40, -1).sum(1) == 1).all()
    assert len({grid.tobytes() for grid in maps}) == 4
    assert (build_pool(mission, 3, seed=10) == maps[10:13]).all()


def test_a_map_seed_gives_every_episode_the_same_map():
    mission = build("cogsguard_arena.basic", map={"seed": 4})
    maps = build_pool(mission, 3, seed=99)
    assert (maps == maps[0]).all()
    assert (maps[0] == build_pool(build("cogsguard_arena.basic"), 1, seed=4)[0]).all()


def test_another_site_comes_with_all_its_settings():
    mission = build("cogsguard_arena.basic", variants=["forest"], map={"site": "cogsguard_machina_1", "coverage": 0.01})
    assert (mission.map.height, mission.map.hub.junction) == (88, "team")
    assert (mission.map.base_biome, mission.map.coverage) == ("forest", 0.01)


def test_new_teams_take_the_place_of_those_not_named():
    teams = {"red": {"num_agents": 2}, "blue": {"num_agents": 20, "wealth": 2}}
    mission = build("cogsguard_arena.basic", teams=teams)
    assert mission.team_sizes == (2, 20) and list(mission.teams) == ["red", "blue"]
    assert play(mission).statistics(0).game["objects.agent.blue.19"] == 1
    kept = build("cogsguard_arena.basic", teams={"cogs": {}, "blue": {"num_agents": 4}})
    assert kept.team_sizes == (8, 4)


@pytest.mark.parametrize("sizes", [(3, 20), (1, 1), (20, 20)])
def test_two_teams_of_any_sizes_play(sizes: tuple[int, int]):
    teams = {name: {"num_agents": size} for name, size in zip(("cogs_green", "cogs_blue"), sizes, strict=True)}
    mission = build("cogsguard_arena.basic", variants=["multi_team"], teams=teams)
    batch = play(mission)
    assert batch.num_agents == sum(sizes)
    groups = [o["owner"] for o in batch.objects(0) if o["type"].endswith("hub")]
    assert groups == ["cogs_green", "cogs_blue"]


@pytest.mark.parametrize("name", ["cogsguard_arena.basic", "cogsguard_machina_1.miner_tutorial"])
@pytest.mark.parametrize("cogs", [1, 9, 20])
def test_any_number_of_cogs_plays(name: str, cogs: int):
    assert play(build(name, cogs=cogs), 5).num_agents == cogs


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cogz: 3", "{file}:cogz' (did you mean cog, cogs?)"),
        ("cog: {heart_limt: 3}", "{file}:cog.heart_limt' (did you mean heart_limit"),
        ("cog: {heart_limit: many}", "{file}:cog.heart_limit='many'"),
        ("cost: {heart: {hart: 1}}", "{file}:cost.heart: unknown resource 'hart' (did you mean heart"),
        ("variants: [eazy]", "{file}:variants: unknown variant 'eazy' (did you mean easy"),
        ("rewards: [minr]", "{file}:rewards: unknown reward preset 'minr' (did you mean miner"),
        ("reward_entries: {a: {stat: hart.gained, weight: 1}}", "{file}: unknown statistic 'hart.gained'"),
        ("base: aligner_tutoril", "{file}:base: unknown mission 'aligner_tutoril' (did you mean aligner_tutorial"),
        ("base: frist.yaml", "{file}:base: there is no file"),
        ("base: ../other.yaml", "{file}:base: '../other.yaml' leads out of the folder"),
        ("map: {picture: /etc/hostname}", "{file}:map.picture: '/etc/hostname' leads out of the folder"),
        ("map: {site: cogsguard_arenas}", "{file}:map.site: unknown site 'cogsguard_arenas' (did you mean"),
        ("map: {hub: {pds: 3}}", "{file}:map.hub.pds' (did you mean pads?)"),
        ('map: {picture: "#@#\\n#?#\\n"}', "{file}: map.picture:2:2: unknown cell '?'"),
        ('map: {picture: "#@#\\n#H#\\n"}', "{file}: team 'cogs' has 8 agents, map 0 has only 1 pads"),
        ('map: {legend: {b: agent.blu}, picture: "b\\n"}', "{file}: map.legend.b: unknown map cell 'agent.blu'"),
        (
            'map: {picture: "#@#\\n"}\nvariants: [forest]\nbase: drawn.yaml',
            "variant 'forest' changes generated maps, the map of mine is drawn",
        ),
        ("teams: {cog: {wealth: 1}}", "{file}:teams: unknown team 'cog' (did you mean cogs"),
        ("teams: {clips: {num_agents: 1}}", "no team can be called 'clips'"),
        ("teams: {a: {num_agents: 200}, b: {num_agents: 200}}", "{file}: the teams have 400 agents, at most 255"),
        ("max_steps: 10000000\nclips: {align_interval: 1}", "{file}: the clips would act more than 100,000 times"),
        ('variants: ["\\e[31mred\\nred"]', "{file}:variants: unknown variant ' [31mred red'"),
        ("a: &x 1\nb: *x", "{file}: references (*name) are not read"),
        ("cog: {", "{file}:1:7: no YAML"),
        ("[1, 2]", "{file}: no mapping of keys to values"),
        ("[" * 500_000, "{file}: more than 50 brackets"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(text: str, words: str, tmp_path: Path):
    write(tmp_path / "drawn.yaml", 'cogs: 1\nmap: {picture: "#@#\\n"}')
    file = write(tmp_path / "mine.yaml", text)
    with pytest.raises(UserError) as error:
        build(file)
    assert words.format(file=file) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_wrong_with_a_picture_file_is_located_in_it(tmp_path: Path):
    picture = write(tmp_path / "room.txt", "\n####\n#@?#\n####\n")
    file = write(tmp_path / "mine.yaml", "map: {picture: room.txt}")
    with pytest.raises(UserError, match="unknown cell") as error:
        build(file)
    assert str(error.value).startswith(f"{picture}:3:3: ")


def test_files_without_end_are_not_read(tmp_path: Path):
    (tmp_path / "huge.txt").write_text("#" * 2_000_000)
    with pytest.raises(UserError, match="larger than"):
        build(write(tmp_path / "mine.yaml", "map: {picture: huge.txt}"))
    write(tmp_path / "round.yaml", "base: round.yaml")
    with pytest.raises(UserError, match="more than 8 files build on one another"):
        build(str(tmp_path / "round.yaml"))
    with pytest.raises(UserError, match=r"at most 500 are read"):
        build("cogsguard_arena.basic", map={"picture": "#@#\n" * 501})


def test_a_missing_file_names_the_nearest(tmp_path: Path):
    write(tmp_path / "my_mission.yaml", "cogs: 1")
    with pytest.raises(UserError, match=r"no file .*my_misson.yaml' \(did you mean my_mission.yaml\?\)"):
        build(str(tmp_path / "my_misson.yaml"))


KEYS = [
    name
    for model in (Mission, CogSettings, ClipsSettings, TeamSettings, MapSettings, HubSettings, RewardEntry)
    for name in model.model_fields
]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70_000), st.floats(), st.sampled_from(["", "a", "hp", "#@#\n", "x.txt"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.integers(0, 2), inner),
    max_leaves=5,
)


@given(content=st.dictionaries(st.sampled_from(list(MissionSettings.model_fields)), VALUES, max_size=4))
@settings(max_examples=300)
def test_whatever_a_file_holds_is_built_or_refused_in_one_line(
    content: dict[str, object], tmp_path_factory: pytest.TempPathFactory
):
    file = tmp_path_factory.mktemp("files") / "any.yaml"
    file.write_text(yaml.safe_dump(content))
    try:
        build(str(file))
    except UserError as error:
        assert "\n" not in str(error)
