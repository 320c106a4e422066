"""The pool of maps that a mission's episodes are played on."""

import numpy as np

from metta.game.cache import announce_compilation
from metta.game.maps.arena import generate_pool
from metta.game.maps.sites import site, with_site_variants
from metta.game.mission import Mission


def build_pool(mission: Mission, count: int, seed: int, threads: int | None = None) -> np.ndarray:
    """`count` maps of consecutive seeds, uint8 [count, H, W]. Raises UserError for an unknown site."""
    announce_compilation()
    settings = with_site_variants(site(mission.site), mission.variants)
    return generate_pool(settings, mission.agents // len(mission.teams), seed, count, threads)
