"""Types commands to the client of the original, all in one process: run by a Python that has it.

A line of JSON with the words of a command comes in; a line with its exit code and what it printed goes out. `config
SERVER SEASON` tells what game the client would try a policy out in.
"""

import contextlib
import io
import json
import sys

import cogames.cli.base
import cogames.cli.compat
import typer
from cogames.cli.client import TournamentServerClient
from cogames.main import LENIENT_CONTEXT, _resolve_season, app
from mettagrid.config.mettagrid_config import MettaGridConfig

consoles = [cogames.cli.base.console, cogames.cli.compat.console]


def show_config(server, season):
    found = _resolve_season(server, season, include_hidden=False)
    pool = next(pool for pool in found.pools if pool.name == found.entry_pool)
    with TournamentServerClient(server_url=server) as client:
        config = MettaGridConfig.model_validate(client.get_config(pool.config_id), context=LENIENT_CONTEXT)
    print(f"{config.game.num_agents} agents, {config.game.max_steps} steps")


for line in sys.stdin:
    words = json.loads(line)
    out = io.StringIO()
    for console in consoles:
        console.file, console.width = out, 200
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            if words[0] == "config":
                show_config(*words[1:])
            else:
                code = typer.main.get_command(app).main(words, standalone_mode=False) or 0
        except SystemExit as done:
            code = done.code
        except BaseException as error:
            code = getattr(error, "exit_code", 1)
            print(f"{type(error).__name__}: {error}", file=out)
    print(json.dumps({"code": code, "out": out.getvalue()}), file=sys.__stdout__, flush=True)
