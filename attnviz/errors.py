"""The one exception that a user sees."""

from __future__ import annotations


class AttnvizError(Exception):
    """Bad input or an impossible request.

    `message` names the file, axis or option, what was expected and what was found;
    `hint` says what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[AttnvizError], tuple[str, str]]:
        return type(self), (self.message, self.hint)  # so that it can come out of another process
