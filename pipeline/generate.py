"""A photo and speech → a video of that photo speaking.

    python -m pipeline.generate --system pretrained/sinha --image face.jpg --audio speech.wav --output talk.mp4

A system is named, as `dvc repro` has trained it, or given as its folder, which may come from another machine; `--list` shows
those that there are. What a system can draw is what its corpus showed it.

Systems that are driven by landmarks follow the facial motion of a video of somebody else; those that show emotions are told
which:

    python -m pipeline.generate --system kesim_erzin_landmark --image face.jpg --driving-video them.mp4
    python -m pipeline.generate --system maity --emotion HAP --image face.jpg --audio speech.wav

Many at once: every photo says every speech by every system, each a file in the folder --output, named after all of them. Where
one fails, the others are made; which failed, and why, is said at the end (exit status 1). What is there already is kept, unless
--force is given.

    python -m pipeline.generate --system sinha maity --image *.jpg --audio speech/*.wav --output talking

Or as a list, jobs.csv, with a column image and, as wanted, audio, driving_video, system, emotion, output. Paths are seen from
where the list lies; what a row leaves open is what the command line says:

    python -m pipeline.generate --system sinha --jobs jobs.csv --output talking

Systems side by side in one video, with their names under them:

    python -m pipeline.generate --compare --system sinha atvgnet maity --image face.jpg --audio speech.wav

The video is the whole photo, at its own size up to 1,920 px, with the face alive in it; what does not move is the photo's own.
`--crop` gives what the system draws, the crop of the face, alone.
"""

import argparse
import json
import os
import sys
from functools import cache
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from pipeline.corpus.layouts import EMOTIONS
from pipeline.errors import UserError, one_line_errors
from pipeline.jobs import ALONE, COLUMNS, FOLDER, Job, plan
from pipeline.papers.registry import PAPER_OF, SYSTEMS, paper
from pipeline.refusal import REFUSE, people_in
from pipeline.systems.card import find_system, known_systems
from pipeline.talking import (
    CONTAINERS,
    DATA,
    Fit,
    Video,
    check_choices,
    check_output,
    compare,
    load_system,
    talk,
)

loaded, protected = cache(load_system), cache(people_in)


def make(job: Job, args: argparse.Namespace) -> Video:
    """The video of a job, ready to be drawn."""
    how = {"driving_video": job.driving_video, "fps": args.fps, "fit": args.fit, "seed": args.seed}
    how |= {"face": args.face, "refused": protected(args.refuse) if args.refuse else None}
    how |= {"crop": args.crop, "mark": not args.no_mark, "size": None if args.compare else args.size}
    videos = {}
    for name in job.systems:
        emotion = job.emotion if "emotion" in loaded(name).needs else None
        videos[name] = talk(loaded(name), job.image, job.audio, emotion=emotion, **how)
    return compare(videos, args.size) if args.compare else videos[name]


def run(jobs: list[Job], args: argparse.Namespace) -> None:
    """Make the videos, one after the other, behind one bar.

    A lone one's UserError is raised; of many, each fails alone, and is said at the end.
    """
    waiting = [job for job in jobs if len(jobs) == 1 or args.force or not job.output.exists()]
    if kept := len(jobs) - len(waiting):
        print(f"{kept} of {len(jobs)} videos are there already and are kept; --force makes them anew")
    failed, lengths = [], []
    with tqdm(total=0, unit="frame", disable=None) as bar:
        for job in waiting:
            bar.set_description(job.output.name)
            try:
                video = make(job, args)
                lengths.append(len(video))
                # Those to come are taken to be as long as those that there are.
                bar.total = round(sum(lengths) / len(lengths) * (len(waiting) - len(failed)))
                video.save(job.output, lambda frame: bar.update(), overwrite=args.force)
            except UserError as error:
                if len(jobs) == 1:
                    raise
                failed.append(f"{job.output}: {error}")
            else:
                bar.write(f"{job.output}: {described(video)}")
                for note in video.notes:
                    bar.write(f"{job.output}: {note}", file=sys.stderr)
    if failed:
        print(*failed, sep="\n", file=sys.stderr)
        sys.exit(f"error: {len(failed)} of {len(waiting)} videos could not be made")


def described(video: Video) -> str:
    """A video's length and size in words, and by whom it is."""
    by = " and ".join(f"{s.image_size}×{s.image_size} px by {s.name}" for s in video.systems)
    return f"{video.seconds:.1f} s of {video.width}×{video.height} px, a face of {by}"


def list_systems(data: Path) -> str:
    """The systems as a table, those that ship with the project last: what drives each, and whether it is trained here, on what,
    and how it fared."""
    measured = Path("metrics/evaluation.json")
    figures = json.loads(measured.read_text()) if measured.exists() else {}
    rows = [("system", "driven by", "paper", "state")]
    for name, card, fault in known_systems(data):
        system = card["system"] if card else name
        if card:
            train = card["corpus"]["splits"]["train"]
            state = f"trained on {train['clips']} clips of {train['subjects']} people"
            fared = figures.get(name, {}) if name in SYSTEMS else card["metrics"]
            if fared.get("lmd") is not None:
                state += f"; LMD {fared['lmd']:.2f} px"
        else:
            state = f"not trained: dvc repro system_{name}" if name in SYSTEMS else fault
        known = system in SYSTEMS
        driven_by = " + ".join(sorted(SYSTEMS[system].needs)) if known else "–"
        rows.append((name, driven_by, paper(PAPER_OF[system]).title.split(",")[0] if known else "–", state))
    return "\n".join(f"{name:30} {driven_by:24} {of:20} {state}" for name, driven_by, of, state in rows)


def arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.generate", description=__doc__, formatter_class=raw)
    parser.add_argument("--list", action="store_true", help="show the systems that there are, and end")
    add = parser.add_argument_group("what to make").add_argument
    add("--system", nargs="+", metavar="NAME", help="which trained systems draw: names, or folders")
    add("--image", nargs="+", type=Path, metavar="PHOTO", help="photos with a frontal face")
    add("--audio", nargs="+", type=Path, metavar="FILE", help="speech, in any file with sound that FFmpeg reads")
    add("--driving-video", nargs="+", type=Path, metavar="VIDEO", help="of landmark systems: whose motion to follow")
    emotion = "of systems that an emotion conditions: which to show (default: NEU)"
    add("--emotion", nargs="+", choices=EMOTIONS, help=emotion)
    add("--jobs", type=Path, metavar="CSV", help=f"a list of videos, with columns {', '.join(COLUMNS)}")
    add("--compare", action="store_true", help="all systems side by side in one video")
    face = "which of a photo's faces speaks: left, right, largest, or a number from the left (default: %(default)s)"
    add("--face", default="largest", metavar="WHICH", help=face)
    add("--refuse", type=Path, metavar="FOLDER", help=REFUSE)
    add = parser.add_argument_group("how it looks").add_argument
    add("--crop", action="store_true", help="show the crop of the face alone, not the whole photo")
    add(
        "--size",
        type=int,
        metavar="PX",
        help="of the longer side, or of a row's width (default: the photo's, up to 1920; a crop's, at least 256)",
    )
    add(
        "--fps",
        type=float,
        metavar="RATE",
        help="frames per second, repeated or left out by time (default: the system's 25)",
    )
    fit = (
        "where driving video and speech differ: end with the shorter; or with the speech, and a shorter driving video "
        "stands still at its end, or goes back and forth (default: %(default)s)"
    )
    add("--fit", choices=get_args(Fit), default="shortest", help=fit)
    add("--no-mark", action="store_true", help='leave out the visible "synthetic" in the corner')
    add("--seed", type=int, default=0, help="of noise and blinks, 0 or more (default: %(default)s)")
    add = parser.add_argument_group("where it goes").add_argument
    output = f"the video to write, {' or '.join(CONTAINERS)}; a folder for many (default: {ALONE}; the folder {FOLDER})"
    add("--output", type=Path, metavar="PATH", help=output)
    add("--force", action="store_true", help="write over videos that are there already")
    return parser.parse_args()


@one_line_errors
def main() -> None:
    args = arguments()
    # One core is the encoder's. Threads of networks that have to share theirs wait for each other more than they work.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) - 1)))  # read when torch is loaded
    if args.list:
        print(list_systems(DATA))
        return
    given = {name: getattr(args, name, None) or [None] for name in COLUMNS if name != "output"} | {"output": [None]}
    jobs = plan(given, args.jobs, args.compare, args.output)
    for job in jobs:
        check_choices(args.size, args.fps, args.fit, args.seed, job.emotion)
        check_output(job.output, overwrite=args.force or len(jobs) > 1)
    for system in dict.fromkeys(system for job in jobs for system in job.systems):
        find_system(system, DATA)
    if args.refuse:
        protected(args.refuse)  # one that protects nobody stops all of them
    run(jobs, args)


if __name__ == "__main__":
    main()
