"""What the server refuses, by the status that HTTP has for it. Anything else that a user did wrong is a 422."""

from metta.common.errors import UserError


class RefusedError(UserError):
    """A request that is refused; `wait` seconds until it may be tried again, 0: not of itself."""

    status, wait = 422, 0.0


class BadRequestError(RefusedError):
    status = 400


class NotSignedInError(RefusedError):
    status = 401

    def __init__(self, message: str = "not authenticated: cogames login") -> None:
        super().__init__(message)


class ForbiddenError(RefusedError):
    status = 403


class MissingError(RefusedError):
    status = 404


class ConflictError(RefusedError):
    status = 409


class TooLongError(RefusedError):
    status = 413


class TooManyError(RefusedError):
    """More requests than one may send."""

    status = 429

    def __init__(self, message: str, wait: float = 60) -> None:
        super().__init__(message)
        self.wait = wait


class UnavailableError(RefusedError):
    """Somebody else who is needed does not answer."""

    status, wait = 503, 2.0


class NoSpaceError(RefusedError):
    status, wait = 507, 10.0

    def __init__(self) -> None:
        super().__init__("the league's disk is full; its keeper is to make room")
