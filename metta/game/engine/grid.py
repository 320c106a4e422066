"""The padded map: how its cells are numbered, and what stands on them."""

import numpy as np

from metta.game.compiled import rule
from metta.game.engine.layout import CELL_EMPTY, T_BIT_WORDS, T_BITS, T_CELLS, T_TILES

ONE, LAST_BIT, WORD_SHIFT = np.uint64(1), 63, 6


@rule
def cell_at(t, row, col):
    """Number of a cell: tiles of 4x4 cells row by row, within a tile row by row."""
    return ((row >> 2) * t[T_TILES] + (col >> 2)) << 4 | (row & 3) << 2 | (col & 3)


@rule
def _bit_word(t, e, row, col):
    return e * t[T_BITS] + row * t[T_BIT_WORDS] + (col >> WORD_SHIFT)


@rule
def occupy(t, s, e, row, col, word):
    """Put `word` (code | seen << 16) on an empty cell."""
    s.cells[e * t[T_CELLS] + cell_at(t, row, col)] = word
    s.bits[_bit_word(t, e, row, col)] |= ONE << np.uint64(col & LAST_BIT)


@rule
def vacate(t, s, e, row, col):
    """Empty a cell."""
    s.cells[e * t[T_CELLS] + cell_at(t, row, col)] = CELL_EMPTY
    s.bits[_bit_word(t, e, row, col)] &= ~(ONE << np.uint64(col & LAST_BIT))
