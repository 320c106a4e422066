#!/usr/bin/env python3
"""The mettaboxes, from a laptop: cli.py list|free|exec|attach|logs|sync|tunnel|sso HOST … (--help)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from bootstrap import ensure_packages

if __name__ == "__main__":
    ensure_packages()
    from metta.launch.boxes import main

    sys.exit(main(sys.argv[1:]))
