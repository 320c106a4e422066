"""Asking the memory for what the next environment's step will read, while the present one computes (CPU only).

With many environments the state does not fit the caches, and half of a step would be waiting. A prefetch never waits
as long as few are under way: so they are asked for agent by agent, between the observations that are written meanwhile.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from metta.game.compiled import rule
from metta.game.engine.grid import cell_at
from metta.game.engine.layout import (
    AG_CELL,
    AG_COL,
    AG_ROW,
    CACHE_LINE,
    PAD,
    T_AGENTS,
    T_BITS,
    T_CELLS,
    T_COLLECTIVES,
    TOKEN_BYTES,
    TOKENS,
    WINDOW,
)  # fmt: skip
from metta.game.engine.rows import agent_row, block_row, team_row

WORDS, LONGS = CACHE_LINE // 4, CACHE_LINE // 8
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
def prefetch_rows(t, s, e, a):
    """Ask for the row of agent `a`, and its share of what the environment's step reads besides: teams, bits, blocks."""
    for k in range(agent_row(t, e, a), agent_row(t, e, a + 1), WORDS):
        prefetch_read(s.agents, k)
    _prefetch_share(s.teams, team_row(t, e, 0), team_row(t, e, t[T_COLLECTIVES]), WORDS, a, t[T_AGENTS])
    _prefetch_share(s.bits, e * t[T_BITS], (e + 1) * t[T_BITS], LONGS, a, t[T_AGENTS])
    _prefetch_share(s.blocks, block_row(t, e, 0), block_row(t, e + 1, 0), LONGS, a, t[T_AGENTS])


@rule
def _prefetch_share(array, start, stop, line, a, agents):
    """Ask for every `agents`-th cache line of array[start:stop], from the `a`-th on."""
    k = start + a * line
    while k < stop:  # a range with a step would be a division
        prefetch_read(array, k)
        k += agents * line


@rule
def prefetch_window(t, s, e, a):
    """Ask for the cells that agent `a` sees, and for the areas where it stands.

    A window lies on three or four tiles each way. Four are asked for, the last of three twice: that costs less than to
    mispredict how many there are.
    """
    g = agent_row(t, e, a)
    row, col = s.agents[g + AG_ROW] - PAD, s.agents[g + AG_COL] - PAD
    for down in range(0, WINDOW + 1, 4):
        for across in range(0, WINDOW + 1, 4):
            cell = cell_at(t, row + min(down, WINDOW - 1), col + min(across, WINDOW - 1))
            prefetch_read(s.cells, e * t[T_CELLS] + cell)
    prefetch_read(s.cover, (e * t[T_CELLS] + s.agents[g + AG_CELL]) * t[T_COLLECTIVES])


@rule
def prefetch_observation(number, observations):
    """Ask for the lines that the observation of the `number`-th agent of all environments goes to."""
    first = number * TOKENS * TOKEN_BYTES
    for p in range(first, first + TOKENS * TOKEN_BYTES, CACHE_LINE):
        prefetch_write(observations, p)
