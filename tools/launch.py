#!/usr/bin/env python3
"""Launch one big run: ./tools/launch.py TARGET RECIPE key=value …; status|logs|attach|stop RUN (--help, --list)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which python -I does not

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.launch.command import main

    sys.exit(main(sys.argv[1:]))
