"""Commands about missions: what they list, and files that they write and take back."""

from pathlib import Path

import pytest
import yaml

from metta.game.mission import MissionSettings
from metta.game.missions import build_mission, load_mission, mission_names, mission_set, mission_sets, mission_sites
from metta.game.variants import VARIANTS
from tests.cli.conftest import Cogames


def test_sites_tell_their_cogs_maps_and_missions(cogames: Cogames):
    sites = {site["name"]: site for site in cogames("missions", "--format", "json").document["sites"]}
    assert sites["cogsguard_arena"]["most_cogs"] == 20 and sites["cogsguard_tutorial"]["most_cogs"] == 1
    assert sites["cogsguard_machina_1"]["maps"] == [{"height": 88, "width": 88}]
    assert sorted(name for site in sites.values() for name in site["missions"]) == sorted(mission_names())
    assert all(site["description"] for site in sites.values())


def test_every_mission_is_of_a_site():
    assert {name.partition(".")[0] for name in mission_names()} == set(mission_sites())


@pytest.mark.parametrize("words", [["cogsguard_arena"], ["cogsguard_arena.*"], ["-m", "cogsguard_arena.*"]], ids=str)
def test_a_site_or_a_wildcard_lists_its_missions(words: list[str], cogames: Cogames):
    rows = cogames("missions", *words, "--format", "json").document["missions"]
    assert [row["name"] for row in rows] == [name for name in mission_names() if name.startswith("cogsguard_arena.")]
    assert rows[1] == {
        "name": "cogsguard_arena.aligner_tutorial",
        "description": "Learn the aligner: collect hearts, align neutral junctions.",
        "cogs": 4,
        "max_steps": 1000,
        "map": {"height": 50, "width": 50},
    }


def test_a_mission_is_described_with_what_the_options_change(cogames: Cogames):
    words = ("cogsguard_arena.basic", "-c", "3", "-v", "braveheart", "--difficulty", "easy", "--format", "json")
    document = cogames("describe", *words).document
    assert document["cogs"] == 3 and document["variants"] == ["braveheart", "easy"] and not document["clips"]
    assert document["teams"]["cogs"] == {"cogs": 3, "wealth": 1, "hearts": 255}
    assert document == cogames("missions", "-m", *words).document


def test_a_described_mission_tells_its_prices_and_rewards(cogames: Cogames):
    text = cogames("describe", "aligner_tutorial").out
    assert "5 x junction.aligned_by_agent" in text and "3 carbon, 1 oxygen" in text and "255 hearts" in text


@pytest.mark.parametrize("name", ["mine.yaml", "folder/mine.json"])
def test_a_saved_mission_is_taken_back(name: str, cogames: Cogames):
    saved = cogames("missions", "-m", "scrambler_tutorial", "-v", "forest", "-c", "5", "-s", name)
    assert saved.code == 0 and saved.out == f"wrote {name}: cogames play -m {name}\n"
    again = build_mission(MissionSettings(name=name))
    asked = MissionSettings(name="scrambler_tutorial", variants=["forest"], cogs=5)
    assert again == build_mission(asked)
    assert cogames("describe", name, "--format", "json").document["name"] == "cogsguard_arena.scrambler_tutorial"


def test_a_mission_of_other_size_is_made(cogames: Cogames):
    done = cogames("make-mission", "-c", "3", "--width", "60", "--height", "40", "-o", "mine.yaml")
    made = build_mission(MissionSettings(name="mine.yaml"))
    assert done.code == 0 and (made.agents, made.map.width, made.map.height) == (3, 60, 40)
    assert made.map.coverage == load_mission("cogsguard_arena.basic").map.coverage


def test_a_made_mission_is_printed_where_no_file_is_named(cogames: Cogames, tmp_path: Path):
    done = cogames("make-mission", "-m", "miner_tutorial", "-c", "2")
    assert yaml.safe_load(done.out)["cogs"] == 2 and not list(tmp_path.iterdir())


def test_sets_name_their_missions(cogames: Cogames):
    sets = cogames("evals", "--format", "json").document["sets"]
    assert {each["name"]: tuple(row["name"] for row in each["missions"]) for each in sets} == mission_sets()
    [one] = cogames("evals", "diagnostic_evals", "--format", "json").document["sets"]
    assert len(one["missions"]) == len(mission_set("diagnostic_evals"))


def test_variants_are_all_listed(cogames: Cogames):
    rows = cogames("variants", "--format", "json").document["variants"]
    assert {row["name"] for row in rows} == set(VARIANTS) and all(row["description"] for row in rows)
