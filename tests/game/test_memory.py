"""Machine operations of the engine: words at any byte, and the lowest bit that is set."""

import numpy as np
import pytest

from metta.game.compiled import entry
from metta.game.engine.memory import load_long, lowest_bit, not_negative, store_long, store_word


@entry
def _copy(array, source, target):
    store_long(array, target, load_long(array, source))


@entry
def _lowest(words, numbers):
    for k in range(words.size):
        numbers[k] = lowest_bit(words[k])


@entry
def _put(array, index, value):
    store_word(array, np.uint64(not_negative(index)), value)


@pytest.mark.parametrize(("source", "target"), [(0, 8), (3, 17), (9, 2), (1, 24)])
def test_eight_bytes_are_copied_from_any_byte_to_any_other(source: int, target: int):
    array = np.arange(100, 132, dtype=np.uint8)
    expected = array.copy()
    expected[target : target + 8] = array[source : source + 8]
    _copy(array, np.uint64(source), np.uint64(target))
    assert array.tolist() == expected.tolist()


def test_the_lowest_bit_of_a_word_is_found_among_higher_ones():
    words = [1 << k | high for k in range(64) for high in (0, 1 << 63, (1 << 64) - (1 << k))]
    numbers = np.zeros(len(words), np.int64)
    _lowest(np.array(words, np.uint64), numbers)
    assert numbers.tolist() == [k for k in range(64) for _ in range(3)]


def test_a_token_is_stored_lowest_byte_first():
    array = np.full(9, 7, np.uint8)
    _put(array, 4, 0x55 | 16 << 8 | 200 << 16)
    assert array.tolist() == [7, 7, 7, 7, 0x55, 16, 200, 0, 7]
