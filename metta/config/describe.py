"""`--describe`: what the policy of a job is made of."""

import json
from typing import TYPE_CHECKING, Any, Literal

from rich import box
from rich.table import Table
from rich.text import Text

from metta.common.errors import UserError
from metta.config.help import make_console
from metta.config.job import Config
from metta.rl.settings import RunConfig

if TYPE_CHECKING:
    from metta.policy.interface import Info

Form = Literal["table", "json"]


def describe_policy(config: RunConfig, info: "Info | None" = None) -> dict[str, Any]:
    """The components of a training job's policy for `info` (None: what it is to play) and their sums, as
    `metta.policy.nets.describe.document`. Raises UserError where they are none of a policy."""
    from metta.policy.interface import NetHeads  # here because these take seconds to import
    from metta.policy.nets.describe import describe, document
    from metta.rl.experience.environments import find_source

    agent = config.agent
    rows = describe(agent.components, info or find_source(config).info, NetHeads(config.trainer.auxiliary))
    left_out = [name for name in agent.components if name not in {row.component for row in rows}]
    return document(agent.name, rows, left_out)


def print_policy(config: Config, form: Form) -> None:
    """Print the components of a training job's policy. Raises UserError for a job that trains none."""
    if not isinstance(config, RunConfig):
        raise UserError(f"--describe tells the policy that a job trains; cmd={config.cmd} trains none")
    from metta.rl.experience.environments import find_source  # here because it takes seconds to import

    source = find_source(config)
    told = describe_policy(config, source.info)
    if form == "json":
        print(json.dumps(told, indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("component", "kind", "reads", "gives"):
        table.add_column(title, overflow="fold")
    for title in ("parameters", "FLOPs forward", "FLOPs trained", "state bytes"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in told["components"]:
        words = (row["component"], row["kind"], ", ".join(row["reads"]), row["gives"])
        table.add_row(*map(Text, words), *(f"{row[size]:,}" for size in told["total"]))
    table.add_section()
    table.add_row("total", "", "", "", *(f"{size:,}" for size in told["total"].values()))
    console = make_console()
    console.print(Text.assemble((f"agent {told['agent']}", "bold"), f" for {source.label}"))
    console.print(table)
    if told["left_out"]:
        console.print(Text(f"left out: {', '.join(told['left_out'])} (not enabled, or no loss reads it)"))
    console.print(Text("FLOPs per agent-step, of matrix products by the plain formulas; state bytes per agent."))
