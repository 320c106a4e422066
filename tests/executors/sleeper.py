"""A process that tells in a file where it runs, waits until it is asked to stop and tells that too.

Its settings: the file, the seconds after which it ends by itself, and the exit code then.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from metta.executors.process import received


def main() -> int:
    given = json.loads(received())
    told: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, hear)
    path, deadline = Path(given["file"]), time.monotonic() + given["seconds"]
    print("begun", flush=True)
    here = {"process": os.getpid(), "cores": sorted(os.sched_getaffinity(0)), "parent": os.getppid()}
    path.write_text(json.dumps(here | {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}))
    while time.monotonic() < deadline:
        if told:
            path.with_suffix(".stopped").write_text(str(told[0]))
            return 7
        time.sleep(0.02)
    return given["code"]


if __name__ == "__main__":
    sys.exit(main())
