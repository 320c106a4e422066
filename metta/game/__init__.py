"""The game: missions, maps and the engine."""

from metta.game.cache import use_versioned_cache

use_versioned_cache()
