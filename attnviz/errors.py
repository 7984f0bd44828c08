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

    def __str__(self) -> str:
        """The message and the hint: what a traceback or a notebook shows."""
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type[AttnvizError], tuple[str, str]]:
        return type(self), (self.message, self.hint)  # so that it can come out of another process
