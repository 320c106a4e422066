#!/usr/bin/env python3
"""Run a recipe: ./tools/run.py recipes.experiment.cogsguard.train run=NAME key=value … (--help, --list)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.config.runner import run

    sys.exit(run(sys.argv[1:]))
