"""The scripted policies by name: one planner with different plans and mixes of roles."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from metta.common.errors import UserError, suggest
from metta.common.settings import validated
from metta.game.compilation import compile_ahead
from metta.game.observation import EnvInfo
from metta.policy.scripted.plans import Plan

if TYPE_CHECKING:
    from metta.policy.scripted.policy import ScriptedPolicy

FREE = "gear"  # the role of agents that choose their role as they go
COUNTED = ("scrambler", "aligner", "miner", "scout", FREE)  # order in which counts are laid out
MOST_AGENTS = 1000
Mix = Callable[[int], list[str]]  # number of agents -> their roles
LONERS = ["miner", "aligner", "miner", "scrambler", "miner", "aligner", "miner", "miner"]


class Parameters(Plan):
    """What may follow the `?` of a name, beside the settings of the planner."""

    shared: bool = Field(default=True, description="whether the team shares its memory")
    scrambler: int | None = Field(default=None, ge=0, le=MOST_AGENTS, description="agents that stay scramblers")
    aligner: int | None = Field(default=None, ge=0, le=MOST_AGENTS, description="agents that stay aligners")
    miner: int | None = Field(default=None, ge=0, le=MOST_AGENTS, description="agents that stay miners")
    scout: int | None = Field(default=None, ge=0, le=MOST_AGENTS, description="agents that stay scouts")
    gear: int | None = Field(default=None, ge=0, le=MOST_AGENTS, description="agents that choose roles as they go")
    role_cycle: list[str] | None = Field(default=None, description="roles, comma-separated, repeated over the agents")
    role_order: list[str] | None = Field(default=None, description="roles, comma-separated, of the first agents")
    role_vibes: list[str] | None = Field(default=None, description="roles that each agent takes in turn, by episode")

    @field_validator("role_cycle", "role_order", "role_vibes", mode="before")
    @classmethod
    def split(cls, value: Any) -> list[str]:
        roles = value.split(",") if isinstance(value, str) else value
        for role in roles:
            if role not in COUNTED:
                raise ValueError(f"unknown role '{role}'{suggest(role, COUNTED)}; there are: {', '.join(COUNTED)}")
        return roles


@dataclass(frozen=True)
class Script:
    """A named policy: what it is, who does what, and how its plan differs from the best one."""

    text: str
    mix: Mix
    plan: dict[str, Any] = field(default_factory=dict)


def everyone(role: str) -> Mix:
    return lambda agents: [role] * agents


def repeated(roles: list[str]) -> Mix:
    return lambda agents: [roles[k % len(roles)] for k in range(agents)]


def counted(rest: str = FREE, **counts: int) -> Mix:
    """Roles in the order of COUNTED; agents left over get `rest`."""
    roles = [role for role in COUNTED for _ in range(counts.get(role, 0))]
    return lambda agents: (roles + [rest] * agents)[:agents]


def staffed(agents: int) -> list[str]:
    """A fixed team: for eight agents two scramblers, two aligners, a scout and three miners."""
    if agents <= 3:
        return ["scrambler", "miner", "scout"][:agents] if agents > 1 else ["miner"] * agents
    pairs = max(2, agents // 6) if agents >= 8 else 1
    return counted("miner", scrambler=pairs, aligner=pairs, scout=1)(agents)


BEST = "Agents choose roles as they go; the strongest plan."
SCRIPTS: dict[str, Script] = {
    "cogsguard": Script(BEST, everyone(FREE)),
    "dinky": Script(BEST, everyone(FREE)),
    "role": Script("One scrambler, four miners, the others choose.", counted(scrambler=1, miner=4)),
    "role_py": Script("One scrambler, four miners, the others choose.", counted(scrambler=1, miner=4)),
    "miner": Script("Everyone mines.", everyone("miner")),
    "scout": Script("Everyone explores.", everyone("scout")),
    "aligner": Script("Everyone aligns.", everyone("aligner")),
    "scrambler": Script("Everyone scrambles.", everyone("scrambler")),
    "teacher": Script(
        "Each agent takes another role every episode.", everyone(FREE),
        {"role_vibes": ["miner", "scout", "aligner", "scrambler"]},
    ),
    "baseline": Script("Fixed roles, no shared memory.", repeated(LONERS), {"shared": False}),
    "cogsguard_v2": Script("A fixed team of all roles.", staffed),
    "cogsguard_control": Script("Roles change every 40 steps.", everyone(FREE), {"cooldown": 40}),
    "cogsguard_targeted": Script("Roles change every 25 steps.", everyone(FREE), {"cooldown": 25}),
    "wombo": Script("Starts with a scout and two aligners; roles change at any step.", everyone(FREE),
                    {"first_scouts": 1, "first_aligners": 2, "cooldown": 1}),
    "starter": Script("One of each role in turn, no shared memory.",
                      repeated(["aligner", "scrambler", "miner", "scout"]), {"shared": False}),
}  # fmt: skip


def make_scripted(name: str, words: dict[str, str], info: object) -> "ScriptedPolicy":
    """The scripted policy of that name. Raises UserError for a wrong parameter or another game's environment."""
    from metta.policy.scripted.compiled import SCRIPTED  # here because compiled code takes long to import
    from metta.policy.scripted.policy import ScriptedPolicy

    if not isinstance(info, EnvInfo):
        raise UserError(f"policy {name} plays CoGsGuard only")
    script, parameters = SCRIPTS[name], _parameters(name, words)
    mix, rotate = mix_of(script, parameters), parameters.role_vibes is not None
    roles = parameters.role_vibes if parameters.role_vibes else mix(info.num_agents)
    if not parameters.shared and not rotate:
        roles = [LONERS[k % len(LONERS)] if role == FREE else role for k, role in enumerate(roles)]
    plan = Plan.model_validate({key: getattr(parameters, key) for key in Plan.model_fields})
    compile_ahead(SCRIPTED)
    return ScriptedPolicy(info, name, plan.array(), roles, parameters.shared, rotate)


def scripted_settings(name: str, words: dict[str, str]) -> dict[str, Any]:
    """All settings of a scripted policy. Raises UserError for a wrong parameter."""
    return _parameters(name, words).model_dump()


def _parameters(name: str, words: dict[str, str]) -> Parameters:
    return validated(Parameters, {**SCRIPTS[name].plan, **words}, f"policy {name}")


def mix_of(script: Script, parameters: Parameters) -> Mix:
    """Who does what: an order, else a cycle, else counts, else what the name stands for."""
    if parameters.role_order:
        order = parameters.role_order
        return lambda agents: (order + [FREE] * agents)[:agents]
    if parameters.role_cycle:
        return repeated(parameters.role_cycle)
    counts = {role: number for role in COUNTED if (number := getattr(parameters, role)) is not None}
    if set(counts) == {FREE}:
        return counted("miner", **counts)
    return counted(**counts) if counts else script.mix


def parse_query(name: str, query: str) -> dict[str, str]:
    """`k=v&k=v` as a dictionary; the last value of a key counts. Raises UserError for a part without a value."""
    words = {}
    for part in query.split("&") if query else ():
        key, equals, value = part.partition("=")
        if not key or not equals or not value:
            raise UserError(f"policy {name}: '{part}' is not of the form name=value")
        words[key] = value
    return words
