"""`--describe`: what the policy of a job is made of, and what changes while it trains."""

import json
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from metta.common.errors import UserError
from metta.config.help import make_console
from metta.config.job import Config
from metta.rl.settings import RunConfig

if TYPE_CHECKING:
    from metta.policy.interface import Info
    from metta.rl.run.schedules import Schedules

FORMS = ("table", "json", "schedule")
WIDTH = 40  # characters of a chart
BLOCKS = "▁▂▃▄▅▆▇█"


def describe(config: Config, form: str) -> None:
    """Print what a training job is like, in one of the FORMS. Raises UserError for a job that trains none."""
    if not isinstance(config, RunConfig):
        raise UserError(f"--describe tells what a job trains; cmd={config.cmd} trains nothing")
    if form == "schedule":
        for run in config.phase_runs:
            print_schedules(run)
    else:
        print_policy(config, form)


def print_schedules(config: RunConfig) -> None:
    """Draw every number that may change while a run trains, over its agent-steps; conditions as fulfilled early on."""
    from metta.rl.run.schedules import Schedules  # here because it takes seconds to import

    total = config.trainer.total_timesteps
    schedules = Schedules(config, total)
    schedules.load_state_dict(dict.fromkeys(schedules.conditions, total // 4))
    rows = [_numbers(schedules, round(total * column / (WIDTH - 1))) for column in range(WIDTH)]
    written = {place.key: str(schedule) for place, schedule in schedules.scheduled}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("setting", "start", f"0 to {total:,} agent-steps", "end", "as"):
        table.add_column(title, justify="right" if title in ("start", "end") else "left", overflow="fold")
    for key in rows[0]:
        numbers = [row[key] for row in rows]
        chart = sparkline(numbers) if len(set(numbers)) > 1 else "constant"
        table.add_row(*map(Text, (key, f"{numbers[0]:.4g}", chart, f"{numbers[-1]:.4g}", written.get(key, ""))))
    console = make_console()
    console.print(Text(f"run {config.run}", "bold"))
    console.print(table)
    if schedules.conditions:
        console.print(Text("Conditions (when) are drawn as if they were fulfilled after a quarter of the run."))


def _numbers(schedules: "Schedules", agent_steps: int) -> dict[str, float]:
    """By key what may change, as it is after so many agent-steps of the run."""
    from metta.rl.learning.optim import learning_rate

    schedules.begin(agent_steps)
    numbers = {place.key: float(place.value) for place in schedules.places() if isinstance(place.value, int | float)}
    numbers["trainer.optimizer.learning_rate"] = learning_rate(
        schedules.trainer.optimizer, agent_steps / schedules.total
    )
    if teaching := schedules.teaching:
        shares = teaching.shares(agent_steps)
        numbers |= dict(zip(("teacher.teacher_led_proportion", "teacher.student_led_proportion"), shares, strict=True))
    return numbers


def sparkline(numbers: list[float]) -> str:
    """Numbers as blocks of a height between the smallest and the largest."""
    low, high = min(numbers), max(numbers)
    return "".join(BLOCKS[round((number - low) / (high - low) * (len(BLOCKS) - 1))] for number in numbers)


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


def print_policy(config: RunConfig, form: str) -> None:
    """Print the components of a training job's policy, as a table or as JSON."""
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
    console.print(Text.assemble((f"agent {told['agent']}", "bold"), f" for {source.name}"))
    console.print(table)
    if told["left_out"]:
        console.print(Text(f"left out: {', '.join(told['left_out'])} (not enabled, or no loss reads it)"))
    console.print(Text("FLOPs per agent-step, of matrix products by the plain formulas; state bytes per agent."))
