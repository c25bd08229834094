"""The two ways in which input can be unusable: it stops the command (UserError), or it costs one clip (ClipRejected)."""

import functools
import sys
from collections.abc import Callable


class UserError(Exception):
    """Nothing can go on. The message is one line: what is wrong, with the file or key, and the mend."""


class ClipRejected(Exception):
    """One clip cannot be used; it becomes a row in `rejected.parquet`.

    `reason` is a short word to count by (`no_face`, `no_audio`, `unreadable` …), `detail` what was seen.
    """

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def one_line_errors(main: Callable[..., None]) -> Callable[..., None]:
    """Make a command end with its UserError in one line on stderr and status 1, never with a traceback."""

    @functools.wraps(main)
    def command(*args: object) -> None:
        try:
            main(*args)
        except UserError as error:
            sys.exit(f"error: {error}")

    return command
