"""Asking the memory for what the next environment's step will read, while the present one computes (CPU only).

With many environments the state does not fit the caches, and half of a step would be waiting. A prefetch never waits.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from metta.game.compiled import rule
from metta.game.engine.layout import (
    AG_CELL,
    PAD,
    T_AGENT_COLUMNS,
    T_AGENTS,
    T_CELLS,
    T_COLLECTIVES,
    T_STRIDE,
    TOKEN_BYTES,
    TOKENS,
    WINDOW,
)  # fmt: skip
from metta.game.engine.rows import agent_row, team_row

LINE = 64  # bytes in a cache line
WORDS = LINE // 4
READ, WRITE = 0, 1


def _prefetcher(write: int) -> Any:
    """A function (array, index) that asks for the cache line of array[index]."""

    @intrinsic
    def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
            number = ir.IntType(32)
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, number, number, number])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [pointer, number(write), number(3), number(1)])
            return context.get_dummy_value()

        return types.void(array, types.intp), emit

    return prefetch


prefetch_read, prefetch_write = _prefetcher(READ), _prefetcher(WRITE)


@rule
def prefetch_agents(t, s, e):
    """Ask for the rows of the agents and of their teams: what must be there to know which cells they see."""
    start = agent_row(t, e, 0)
    for k in range(start, agent_row(t, e, t[T_AGENTS]), WORDS):
        prefetch_read(s.agents, k)
    for k in range(team_row(t, e, 0), team_row(t, e, t[T_COLLECTIVES]), WORDS):
        prefetch_read(s.teams, k)


@rule
def prefetch_windows(t, s, e, observations):
    """Ask for the cells that the agents see, the areas there, and the lines that their observations go to."""
    stride, agents = t[T_STRIDE], t[T_AGENTS]
    for a in range(agents):
        center = e * t[T_CELLS] + s.agents[e * agents * t[T_AGENT_COLUMNS] + a * t[T_AGENT_COLUMNS] + AG_CELL]
        corner = center - PAD * stride - PAD
        for row in range(WINDOW):
            prefetch_read(s.cells, corner + row * stride)
            prefetch_read(s.cells, corner + row * stride + WINDOW - 1)
        prefetch_read(s.cover, center * t[T_COLLECTIVES])
    size = TOKENS * TOKEN_BYTES
    for p in range(e * agents * size, (e + 1) * agents * size, LINE):
        prefetch_write(observations, p)
