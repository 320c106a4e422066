#!/usr/bin/env python3
"""Play a policy and report its roles and the team's stock over time."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.cli.diagnostics import instrumented_audit

    sys.exit(instrumented_audit())
