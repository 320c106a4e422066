"""CoGsGuard: train a team on the game, on its tutorials, evaluate the result and watch it."""

from typing import Literal

from metta.config.job import Job


def train(small: bool = False) -> Job:
    """Train a policy on the whole game in the arena; small: a few minutes on two cores."""
    options = {"agent": "map", "trainer": "tutorial"} if small else {"agent": "tutorial"}
    return Job("train", mission="cogsguard_arena.basic", **options)


def curriculum(small: bool = False) -> Job:
    """Train in phases, each from the weights of the one before: clone a miner, then the whole team."""
    options = {"agent": "map", "trainer": "tutorial"} if small else {"agent": "tutorial"}
    return Job("train", mission="cogsguard_arena.basic", phases="small" if small else "roles", **options)


def generalist(small: bool = False) -> Job:
    """Train one policy on both sites, in sizes and difficulties by learning progress; small: an hour on one core."""
    options = {"agent": "map", "trainer": "tutorial"} if small else {"agent": "tutorial"}
    return Job(
        "train",
        # Both sites and all lengths count the same: the mean of the junctions held over an episode.
        mission={"rewards": ["credit"], "quirks": {"objective_weight_frozen": False}},
        curriculum="generalist_small" if small else "generalist",
        evals="holdouts",
        evaluator={"epoch_interval": 200, "episodes": 4},
        **options,
    )


def tutorial(role: Literal["aligner", "scout", "scrambler", "miner"] = "aligner") -> Job:
    """Train one role on its tutorial mission: minutes on two cores."""
    site = "cogsguard_machina_1" if role == "miner" else "cogsguard_arena"
    return Job("train", mission=f"{site}.{role}_tutorial", agent="small", trainer="tutorial")


def evaluate() -> Job:
    """Play episodes with a policy and report each metric with its 95 % interval."""
    return Job("evaluate")


def play() -> Job:
    """Watch one episode: of the newest run, or of a scripted team where there is none."""
    return Job("play")
