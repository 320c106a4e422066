#!/usr/bin/env python3
"""Train from an experiment file: python tools/train.py +user=NAME key=value … (configs/user/NAME.yaml)."""

import sys

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.config.runner import train

    sys.exit(train(sys.argv[1:]))
