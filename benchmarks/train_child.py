"""One training for `train_turns.py`, in a program of its own: an epoch for each line that it is asked for.

Nothing here but what any checkout of this project has, so that an older one can be measured too.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from typing import Any


def main(words: list[str]) -> None:
    from metta.config.composition import compose
    from metta.config.words import parse_word
    from metta.rl.evaluation import NoEvaluation
    from metta.rl.trainer import train

    answers, sys.stdout = sys.stdout, sys.stderr
    config: Any = compose(None, [parse_word(word) for word in words]).config
    began = [0.0]

    class Asked(NoEvaluation):
        def __call__(self, net: Any, epoch: int, last: bool, folder: Any, stop: Any) -> dict[str, float]:
            seconds = time.process_time() - began[0]
            size = sum(parameter.numel() for parameter in net.parameters())
            print(
                json.dumps({"rate": config.trainer.batch_size / seconds, "parameters": size}), file=answers, flush=True
            )
            if not sys.stdin.readline():
                os._exit(0)  # nobody asks any more
            began[0] = time.process_time()
            return {}

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        config.system.data_dir = folder
        train(config, lambda plan: Asked())


if __name__ == "__main__":
    main(sys.argv[1:])
