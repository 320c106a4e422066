"""Types commands to the client of the original, all in one process: run by a Python that has it.

A line of JSON with the words of a command comes in; a line with its exit code and what it printed goes out.
"""

import contextlib
import io
import json
import sys

import cogames.cli.base
import cogames.cli.compat
import typer
from cogames.main import app

consoles = [cogames.cli.base.console, cogames.cli.compat.console]

for line in sys.stdin:
    out = io.StringIO()
    for console in consoles:
        console.file, console.width = out, 200
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = typer.main.get_command(app).main(json.loads(line), standalone_mode=False) or 0
        except SystemExit as done:
            code = done.code
        except BaseException as error:
            code = getattr(error, "exit_code", 1)
            print(f"{type(error).__name__}: {error}", file=out)
    print(json.dumps({"code": code, "out": out.getvalue()}), file=sys.__stdout__, flush=True)
