"""Machine operations that numpy cannot say: words at any byte, the lowest bit of a word, what an index never is."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

operation: Callable[..., Any] = intrinsic  # what it decorates is called without the compiler's context


def _store(bits: int, kind: Any) -> Any:
    """A function (uint8 array, index, value) that stores the low `bits` of the value, lowest byte first."""

    @operation
    def store(typing_context: Any, array: Any, index: Any, value: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            word = ir.IntType(bits)
            pointer = builder.bitcast(builder.gep(data, [arguments[1]]), word.as_pointer())
            builder.store(builder.trunc(arguments[2], word) if bits < 64 else arguments[2], pointer, align=1)
            return context.get_dummy_value()

        return types.void(array, types.uint64, kind), emit

    return store


store_word, store_long = _store(32, types.int64), _store(64, types.uint64)


@operation
def load_long(typing_context: Any, array: Any, index: Any) -> Any:
    """The eight bytes of a uint8 array from an index on, lowest byte first: uint64."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(array, types.uint64), emit


@operation
def lowest_bit(typing_context: Any, word: Any) -> Any:
    """Number of the lowest bit that is set in a uint64 other than 0."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), emit


@operation
def not_negative(typing_context: Any, index: Any) -> Any:
    """The same int64, of which the compiler now knows that it is not negative.

    Python counts a negative index from the end; what is known never to be one is spared the question.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        holds = builder.icmp_signed(">=", arguments[0], ir.Constant(ir.IntType(64), 0))
        builder.assume(holds)
        return arguments[0]

    return types.int64(types.int64), emit
