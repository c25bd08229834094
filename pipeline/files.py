"""What can be said of a file before anything reads it."""

from pathlib import Path

from pipeline.errors import ClipRejected


def check_file(path: Path) -> None:
    """Raises ClipRejected where there is nothing to read.

    missing, unreadable (a folder, no permission), empty_file, lfs_pointer (a stand-in of git-lfs); the detail names the file.
    """
    try:
        if not path.exists():
            raise ClipRejected("missing", f"{path} does not exist")
        if not path.is_file():
            raise ClipRejected("unreadable", f"{path} is not a file")
        if path.stat().st_size == 0:
            raise ClipRejected("empty_file", f"{path} has zero bytes")
        with path.open("rb") as file:
            # What is kept with git-lfs arrives as small text files where git-lfs was not installed.
            if file.read(40).startswith(b"version https://git-lfs"):
                raise ClipRejected(
                    "lfs_pointer", f"{path} is a git-lfs pointer: run `git lfs pull` where it was cloned"
                )
    except OSError as error:
        raise ClipRejected("unreadable", f"{path}: {error.strerror}") from error
