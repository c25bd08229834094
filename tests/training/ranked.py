"""The toy's training as ranks take part in it: `python -m tests.training.ranked FOLDER [KILLED_EPOCH]`."""

import os
import signal
import sys
from pathlib import Path

from pipeline.errors import one_line_errors
from tests.training.toy import Bench, NumberBatches, Settings, recipe


@one_line_errors
def main() -> None:
    def breaks(seed: int, number: int) -> None:
        if sys.argv[2:] == [str(number)] and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)

    Bench(Path(sys.argv[1])).train(recipe(settings=Settings(dropout=0), batches=NumberBatches(6, breaks)))


if __name__ == "__main__":
    main()
