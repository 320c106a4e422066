"""A job of several processes that counts together, and in which something happens: `python -m tests.rl.counting`.

Reads from standard input, or the file that it is given, the settings of a run and what happens to which rank, and at
which count.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from metta.common.commands import guarded
from metta.common.errors import UserError
from metta.common.logging import note, warn
from metta.common.ranks import begin


def main() -> int:
    place = begin()
    given = json.loads(Path(sys.argv[1]).read_text() if sys.argv[1:] else sys.stdin.read())
    import torch

    from metta.rl.rendezvous import open_world
    from metta.rl.run.signals import StopRequest
    from metta.rl.settings import RunConfig

    config = RunConfig.model_validate(given["config"] | (given.get("others", {}) if place.rank else {}))
    counted = Path(config.system.data_dir) / "count"
    note(f"note of rank {place.rank}")
    warn(f"warning of rank {place.rank}")
    with StopRequest(config.system.grace_seconds) as stop, open_world(config) as world:
        with world.together():
            happen(given, "planning", place.rank, config.system.data_dir)
        count = world.of_leader(int(counted.read_text()) if counted.is_file() else 0)
        pids = world.gather_objects(os.getpid())
        note(f"{world.size} processes from {count}: {' '.join(map(str, pids))}")
        while count < given["until"] and not world.any(stop()):
            happen(given, count, place.rank, config.system.data_dir)
            assert world.sum(torch.ones(1)).item() == world.size
            count += 1
            if world.leads:
                counted.write_text(str(count))
            time.sleep(given.get("pause", 0.01))
    note(f"counted to {count}")
    return 0


def happen(given: dict[str, Any], when: int | str, rank: int, folder: str) -> None:
    """What is to happen to this rank now; once, or at every start where `always` is given."""
    for fault in given.get("faults", []):
        marker = Path(folder) / f"happened-{fault['rank']}-{when}"
        if fault["rank"] != rank or fault["when"] != when or (marker.is_file() and not fault.get("always")):
            continue
        marker.touch()
        match fault["what"]:
            case "refuse":
                raise UserError(fault.get("text", "no such thing"))
            case "raise":
                raise ZeroDivisionError("a mistake")
            case "hang":
                time.sleep(600)
            case name:
                os.kill(os.getpid(), signal.Signals[name])


if __name__ == "__main__":
    sys.exit(guarded(main))
