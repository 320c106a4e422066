"""`cogames setup`: what every first command would wait for."""

import os


def setup() -> int:
    """Compile the game for this machine, once per version, so that no command has to wait for it."""
    from metta.game.cache import VARIABLE
    from metta.game.compilation import compile_ahead
    from metta.policy.rehearsal import ALL

    compile_ahead(*ALL)
    print(f"the game is compiled, in {os.environ[VARIABLE]}")
    return 0
