"""Where the rows of an environment start in the flat state arrays."""

from metta.game.compiled import entry, rule
from metta.game.engine.layout import (
    BLOCK_WORDS,
    EN_COLUMNS,
    OB_COLUMNS,
    T_AGENT_COLUMNS,
    T_AGENTS,
    T_CODES,
    T_COLLECTIVES,
    T_FLOAT_COLUMNS,
    T_OBJECTS,
    T_SCRATCH,
    T_TEAM_COLUMNS,
)  # fmt: skip
from metta.game.engine.memory import not_negative


@entry
def env_row(e):
    return not_negative(e * EN_COLUMNS)


@entry
def agent_row(t, e, a):
    return not_negative((e * t[T_AGENTS] + a) * t[T_AGENT_COLUMNS])


@rule
def float_row(t, e, a):
    return not_negative((e * t[T_AGENTS] + a) * t[T_FLOAT_COLUMNS])


@rule
def object_row(t, e, o):
    return not_negative((e * t[T_OBJECTS] + o) * OB_COLUMNS)


@rule
def team_row(t, e, c):
    return not_negative((e * t[T_COLLECTIVES] + c) * t[T_TEAM_COLUMNS])


@rule
def block_row(t, e, code):
    return not_negative((e * t[T_CODES] + code) * BLOCK_WORDS)


@rule
def scratch_row(t, slot, a):
    return not_negative((slot * t[T_AGENTS] + a) * t[T_SCRATCH])
