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
    """Nothing can go on. The message is one line: what is wrong, and the mend.

    It begins with the file, where its content is at fault, and with the option or key (`--size: …`), where the choice is.
    """


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
            print("interrupted; what is finished is kept, and nothing half made is left", file=sys.stderr)
            sys.exit(130)
        except OSError as error:
            if error.errno not in OUT_OF_SPACE:
                raise
            sys.exit(f"error: {OUT_OF_SPACE[error.errno]}; make room and run again: what is finished is kept")

    return command
