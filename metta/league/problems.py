"""What the server refuses, by the status that HTTP has for it. Anything else that a user did wrong is a 422."""

from metta.common.errors import UserError


class RefusedError(UserError):
    """A request that is refused."""

    status = 422


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
    """More requests than one may send; `wait` seconds until the next."""

    status = 429

    def __init__(self, message: str, wait: float = 60) -> None:
        super().__init__(message)
        self.wait = wait


class UnavailableError(RefusedError):
    """Somebody else who is needed does not answer."""

    status = 503


class NoSpaceError(RefusedError):
    status = 507
