"""The game: missions, maps and the engine."""

from metta.game.compiled import use_versioned_cache

use_versioned_cache()
