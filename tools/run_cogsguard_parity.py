#!/usr/bin/env python3
"""Play two policies from the same seed and compare which actions they choose."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.cli.diagnostics import parity_report

    sys.exit(parity_report())
