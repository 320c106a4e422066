"""What people's code is told where this engine cannot do what it asks: errors of the kinds that it expects."""

from collections.abc import Iterator
from contextlib import contextmanager

from metta.common.errors import UserError


class NotPlayableError(UserError, ValueError, RuntimeError):
    """A mission, a map or an edit of them that this engine cannot play, by name: there a ValueError or RuntimeError."""


class UnknownResourceError(NotPlayableError, KeyError):
    """A name that is no resource of the game."""

    __str__ = Exception.__str__  # KeyError would show the message in quotes


@contextmanager
def as_value_errors() -> Iterator[None]:
    """What is wrong with a mission is a ValueError too, as in `mettagrid`."""
    try:
        yield
    except UserError as error:
        if isinstance(error, ValueError):
            raise
        raise NotPlayableError(str(error), error.about) from None
