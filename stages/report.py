"""Draw contact sheets, charts and one HTML page with the clips: data/report/index.html."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.report.report import make_report


@one_line_errors
def main() -> None:
    p = parameters.load()
    step, n_clips = p.report.contact_sheet_step, p.report.clips_per_system
    make_report(Path("data"), Path("metrics"), p.evaluation.split, p.evaluation.common_size, step, n_clips)
    print("report: data/report/index.html")


if __name__ == "__main__":
    main()
