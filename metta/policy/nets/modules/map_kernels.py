"""Compiled loops of the map memory: write what is seen, then look for the way to each kind of thing.

A map has `side` x `side` cells; that at row and column from the agent's first one is number row * side + column, modulo
their number: where the map ends it goes on at the other end. A cell is an int16: its code in the low byte, when it was
seen last in the high one, in units of `unit` steps modulo 256.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from metta.policy.nets.landmarks import FOUND, MOVES, OWNERS

UNKNOWN, FREE, WALL, FIRST = range(4)  # codes; FIRST + 3 * kind + owner is a thing
NOBODYS, OURS, THEIRS = range(3)  # owners
NOTHING, MOVER, BARRIER, THING = range(4)  # what a tag means; THING + k is kind k
GLOBAL, PADDING = 0xFE, 0xFF
NOWHERE = 255  # owner of a cell that shows none
BUMP = 3  # steps within which those who move stand in the way; farther ones will have moved
CLOSED = 0xFFF0  # mark of a cell that is not entered


class Names(NamedTuple):
    """What the environment's names mean to the kernels."""

    tags: np.ndarray  # uint8 [256]: by tag id
    tag: int  # feature ids
    collective: int
    east: int
    west: int
    north: int
    south: int
    height: int  # of the window
    width: int


class Sizes(NamedTuple):
    side: int  # a power of two
    reach: int  # steps up to which things are looked for
    forget: int  # steps after which what was seen is unknown again
    unit: int  # steps between two stamps


@njit(cache=True, nogil=True, error_model="numpy")
def _read(tokens: Any, names: Any, what: Any, owner: Any) -> Any:
    """Sort tokens [tokens, 3] by place into what [256] and owner [256].

    Returns row and column from the first cell, and the distance up to which the window is shown whole, int64 each.
    """
    what[:] = 0
    owner[:] = NOWHERE
    row, col, whole = 0, 0, 1 << 20
    middle_row, middle_col = names.height // 2, names.width // 2
    last = -1
    for t in range(len(tokens)):
        place = tokens[t, 0]
        if place == PADDING:
            last = -1
            break
        feature, value = np.int64(tokens[t, 1]), np.int64(tokens[t, 2])
        if place == GLOBAL:
            if feature == names.east:
                col = value
            elif feature == names.west:
                col = -value
            elif feature == names.south:
                row = value
            elif feature == names.north:
                row = -value
            continue
        last = place
        if feature == names.tag:
            what[place] = max(what[place], names.tags[value])
        elif feature == names.collective:
            owner[place] = value
    if last >= 0:  # there was no room for more
        whole = abs((last >> 4) - middle_row) + abs((last & 15) - middle_col) - 1
    return row, col, whole


@njit(cache=True, nogil=True, error_model="numpy")
def _write(cells: Any, clock: Any, here: Any, whole: Any, names: Any, sizes: Any, what: Any, owner: Any) -> None:
    """Write the window around cell `here` to cells [side * side]; forget what is old in one row of the map."""
    last, stamp = len(cells) - 1, (clock // sizes.unit) & 255
    first = (clock & (sizes.side - 1)) * sizes.side
    for cell in range(first, first + sizes.side):
        if (stamp - (cells[cell] >> 8)) & 255 > sizes.forget // sizes.unit:
            cells[cell] = UNKNOWN
    middle_row, middle_col = names.height // 2, names.width // 2
    mine = owner[middle_row << 4 | middle_col]
    for i in range(names.height):
        left = here + (i - middle_row) * sizes.side - middle_col
        for j in range(names.width):
            if abs(i - middle_row) + abs(j - middle_col) > whole:
                continue
            meaning, held = np.int64(what[i << 4 | j]), owner[i << 4 | j]
            code = FREE
            if meaning == BARRIER:
                code = WALL
            elif meaning >= THING:
                code = FIRST + OWNERS * (meaning - THING)
                if held != NOWHERE:
                    code += OURS if held == mine else THEIRS
            cells[(left + j) & last] = code | stamp << 8


@njit(cache=True, nogil=True, error_model="numpy")
def _close(cells: Any, here: Any, names: Any, sizes: Any, what: Any, marks: Any) -> None:
    """Begin a search: walls, and those who stand near, are closed."""
    for cell in range(len(cells)):
        marks[cell] = CLOSED if cells[cell] & 255 == WALL else 0
    middle_row, middle_col = names.height // 2, names.width // 2
    for i in range(middle_row - BUMP, middle_row + BUMP + 1):
        for j in range(middle_col - BUMP, middle_col + BUMP + 1):
            away = abs(i - middle_row) + abs(j - middle_col)
            if 0 < away <= BUMP and what[i << 4 | j] == MOVER:
                marks[(here + (i - middle_row) * sizes.side + j - middle_col) & (len(cells) - 1)] = CLOSED


@njit(cache=True, nogil=True, error_model="numpy")
def _tell(cell: Any, here: Any, mark: Any, age: Any, sizes: Any, out: Any) -> None:
    """Tell of a thing found, to out [NUMBERS]: whether each move begins a shortest way there, that there is one, its
    distance (twice), its displacement, and the share of its time to be remembered that has passed."""
    area, half = sizes.side * sizes.side, sizes.side // 2
    distance = np.float32((mark >> MOVES) - 1)
    for move in range(MOVES):
        out[move] = mark >> move & 1
    offset = ((cell - here + area // 2) & (area - 1)) - area // 2
    down = (offset + half) // sizes.side
    right = offset - down * sizes.side
    out[FOUND] = 1
    out[5] = 1 / distance
    out[6] = np.log(distance) * np.float32(0.25)
    out[7] = down / (np.float32(4) + abs(down))
    out[8] = right / (np.float32(4) + abs(right))
    out[9] = age / np.float32(sizes.forget)


@njit(cache=True, nogil=True, error_model="numpy")
def _look(cells: Any, clock: Any, here: Any, sizes: Any, marks: Any, queue: Any, out: Any) -> None:
    """Breadth-first search over known free cells, which tells of the nearest thing in each slot, to out
    [slots, NUMBERS].

    marks uint16 [side * side]: distance + 1 and, in the low bits, the first moves of the shortest ways; 0 where not
    visited.
    """
    last, stamp = len(cells) - 1, (clock // sizes.unit) & 255
    ahead = (-sizes.side, sizes.side, -1, 1)
    out[:] = 0
    marks[here] = CLOSED
    head, tail = 0, 0
    for move in range(MOVES):
        v = (here + ahead[move]) & last
        if marks[v] == 0:
            marks[v] = 2 << MOVES | 1 << move
            queue[tail] = v
            tail += 1
    while head < tail:
        u = np.int64(queue[head])
        head += 1
        code, mark = np.int64(cells[u]) & 255, np.int64(marks[u])
        if code != FREE:
            slot = 0 if code == UNKNOWN else code - FIRST + 1
            if out[slot, FOUND] == 0:
                age = ((stamp - (cells[u] >> 8)) & 255) * sizes.unit
                _tell(u, here, mark, age, sizes, out[slot])
            continue
        if mark >> MOVES > sizes.reach:
            break
        following = mark + (1 << MOVES)
        for move in range(MOVES):
            v = (u + ahead[move]) & last
            if marks[v] == 0:
                marks[v] = following
                queue[tail] = v
                tail += 1
            elif marks[v] >> MOVES == following >> MOVES:
                marks[v] |= following


@njit(cache=True, nogil=True, error_model="numpy")
def walk(begin, end, tokens, resets, cells, clocks, names, sizes, out) -> None:
    """For agents begin..end: write each step of tokens [time, batch, tokens, 3] to cells int16 [batch, side * side]
    and clocks int32 [batch], in place, and what is found to out float32 [time, batch, slots, NUMBERS].

    Where resets bool [time, batch] is set the map is emptied first.
    """
    what, owner = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    area = sizes.side * sizes.side
    marks, queue = np.zeros(area, np.uint16), np.zeros(area, np.uint16)
    for b in range(begin, end):
        for t in range(len(tokens)):
            if resets[t, b]:
                cells[b] = UNKNOWN
                clocks[b] = 0
            row, col, whole = _read(tokens[t, b], names, what, owner)
            here = (row * sizes.side + col) & (area - 1)
            _write(cells[b], clocks[b], here, whole, names, sizes, what, owner)
            _close(cells[b], here, names, sizes, what, marks)
            _look(cells[b], clocks[b], here, sizes, marks, queue, out[t, b])
            clocks[b] += 1
