"""A page with all that lies beside it as one file: `python -m pipeline.report.single_file data/report -o report.html`."""

import argparse
import base64
import json
import mimetypes
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from pipeline.errors import UserError, one_line_errors

# Where addresses stand: pictures', and in what the players read.
SOURCE = re.compile(r'(?<= src=")(?!data:)[^"]+')
DATA = re.compile(r'(?<=<script type="application/json" id="clips">).*?(?=</script>)', re.DOTALL)


def single_file(page: Path) -> str:
    """The text of a page that `pipeline.report.page` wrote, with pictures, videos and landmarks in it.

    Raises UserError where the page, or something that it shows, is not there.
    """
    if not page.is_file():
        raise UserError(f"{page} does not exist; `dvc repro report` makes it")

    def embedded(address: str) -> str:
        path = page.parent / unquote(address)
        if not path.is_file():
            raise UserError(f"{page} shows {path.relative_to(page.parent)}, which does not exist; make the page anew")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    text = SOURCE.sub(lambda found: embedded(found[0]), page.read_text())
    return DATA.sub(lambda found: with_clips(found[0], embedded), text)


def with_clips(written: str, embedded: Callable[[str], str]) -> str:
    """What the players read, JSON as it stands in the page, with every clip's files in it."""
    data = json.loads(written)
    for clip in data["clips"].values():
        clip["videos"] = {system: embedded(address) for system, address in clip["videos"].items()}
        clip["landmarks"] = embedded(clip["landmarks"])
    return json.dumps(data).replace("<", "\\u003c")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(
        description="Make one file of a page, to be sent to somebody; it needs no network."
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path("data/report"), help="that holds index.html (default: data/report)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("report.html"), help="the file to write (default: report.html)"
    )
    arguments = parser.parse_args()
    text, output = single_file(arguments.folder / "index.html"), arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f"{output.name}.partial")
    partial.write_text(text)
    os.replace(partial, output)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
