#!/usr/bin/env python3
"""Play a policy for some steps and check that it sees, plays its roles and aims at the right things."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.cli.diagnostics import rollout_check

    sys.exit(rollout_check())
