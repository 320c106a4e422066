"""Runs a script that was written for `mettagrid` and `cogames`: python -m metta.compat script.py [its arguments]."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
        sys.exit("python -m metta.compat SCRIPT.py [ARGUMENTS]: runs a script, with the names mettagrid and cogames")
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
    runpy.run_path(sys.argv[0], run_name="__main__")
