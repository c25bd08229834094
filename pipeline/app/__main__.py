"""`python -m pipeline.app [--port N] [--open] [--refuse FOLDER]`: the page, on this machine alone."""

import argparse
import importlib.util
import socket
from pathlib import Path

from pipeline.demo import example
from pipeline.errors import UserError, one_line_errors
from pipeline.refusal import REFUSE, people_in

HOST, PORT, TRIED = "127.0.0.1", 7860, 20


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens at. Raises UserError where there is none among TRIED."""
    for port in range(first, first + TRIED):
        with socket.socket() as tried:
            # As the server does: a port that was left seconds ago is free.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind((HOST, port))
            except (OSError, OverflowError):
                continue
            return port
    raise UserError(f"--port: none of {first} to {first + TRIED - 1} is free; choose another")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m pipeline.app", description=__doc__)
    parser.add_argument("--port", type=int, default=PORT, help="the first port to try (default: %(default)s)")
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--refuse", type=Path, metavar="FOLDER", help=REFUSE)
    args = parser.parse_args()
    if not importlib.util.find_spec("nicegui"):
        raise UserError("the page needs NiceGUI, which is not installed; `make app` installs it and starts the page")
    refused = people_in(args.refuse) if args.refuse else None
    port = free_port(args.port)
    if not (example.OUT / "speech.wav").exists():
        example.make_example()
    from pipeline.app.page import serve  # loads NiceGUI, which only `make app` installs

    serve(HOST, port, args.open, refused)


if __name__ == "__main__":
    main()
