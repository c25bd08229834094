"""The two ways in which input can be unusable: it stops the command (UserError), or it costs one clip (ClipRejected)."""

import errno
import functools
import sys
from collections.abc import Callable

# What no clip is to blame for.
OUT_OF_SPACE = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
}


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
    """Make a command end with its UserError, a full disk (status 1) or Ctrl-C (130) in one line on stderr, not a traceback."""

    @functools.wraps(main)
    def command(*args: object) -> None:
        try:
            main(*args)
        except UserError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print("interrupted; run again: what is done is kept", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno not in OUT_OF_SPACE:
                raise
            sys.exit(f"error: {OUT_OF_SPACE[error.errno]}; make room and run again: what is done is kept")

    return command
