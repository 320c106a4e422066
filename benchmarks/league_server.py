"""A league's server in a process of its own, for benchmarks."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from metta.common.errors import UserError

ROOT = Path(__file__).parents[1]
GRACE = 60  # seconds to end in


@contextmanager
def serving_league(data: Path, *words: str) -> Iterator[tuple[str, int]]:
    """Run `cogames league serve` with further words; its address and the number of its process. Raises UserError where
    it does not begin."""
    command = [sys.executable, "-m", "metta.cli.cogames", "league", "serve", "--data", str(data), "--port", "0", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    try:
        line = process.stdout.readline()
        if not line.startswith("league: "):
            raise UserError("the league's server does not begin; what it said is above")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield line.split()[1], process.pid
    finally:
        process.terminate()
        process.wait(GRACE)
