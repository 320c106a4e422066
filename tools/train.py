#!/usr/bin/env python3
"""Train from an experiment file: python tools/train.py +user=NAME key=value … (configs/user/NAME.yaml)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.config.runner import train

    sys.exit(train(sys.argv[1:]))
