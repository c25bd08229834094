"""A few minutes of one person's video → a system of that person's own, by the stages and trainings of any corpus.

    python -m pipeline.adapt --system sinha --video me.mp4 --output data/systems/me

The video is cut into pieces, whose last fifth is held out. They are prepared as the system's own corpus was, by its card. Its
networks go on from what they are, each for --steps steps; what minutes cannot teach stays as it was. At the end a table and a
video beside the new folder show the held-out pieces: real | before | after.

What is under way lies in data/.work/adapt: the same command goes on from there, and removes it once the system is made.
"""

import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

# As `stages.training` has it, before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import cv2
import numpy as np
import pandas as pd
import soundfile
import yaml
from safetensors.torch import load_file
from tqdm import tqdm

from pipeline import parameters
from pipeline.corpus.incremental import checksum
from pipeline.corpus.tables import Tables, write_table
from pipeline.dag import PREPROCESSING, render
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.evaluate import Clip, compare, summarise
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.person import ANOTHER, embedding
from pipeline.papers.registry import SYSTEMS, TRAININGS
from pipeline.references import REFERENCES
from pipeline.shown import enlarged, mark, provenance
from pipeline.synthesis import HeldOutClips, drawn_frames, seed_of
from pipeline.systems.card import find_system, make_system
from pipeline.systems.system import System, load_system
from pipeline.training.data import FACES, ClipStore
from pipeline.training.recipe import Batch, Batches, Recipe
from pipeline.training.trained import CARD, read_card, save_network
from pipeline.video import is_silent, probe, read_audio, stream_frames, write_video
from stages import training as training_stage

DATA, ROOT = Path("data"), Path(__file__).parents[1]
PERSON = "person"  # the name of the faces, and of the subject
PIECE_S = 3  # seconds of a piece
LEAST_S = 20  # seconds of video from which on there is something to learn, and to hold out
MOST_PIXELS = 1000  # of a frame's longer side: `generate` takes photos of no more
# Pieces of GRID keep 43 dB, most of the loss being the colours' own (4:2:0), in an eighth of the default preset's time.
ENCODING = {"crf": 10, "preset": "ultrafast"}
EPOCHS = 10  # in which a training's steps are done, each with a validation and a state to go on from
# The share of frames with several faces from which on nobody knows whose video it is; a detector errs in single seconds.
SEVERAL = 0.25
# What of a network's own parameters is not taken over: how long it was trained.
SCHEDULE = {"epochs", "steps"}
SHOWN = {"psnr": "PSNR", "ssim": "SSIM", "lmd": "LMD (px)", "mouth_correlation": "mouth correlation"}


def adapt(folder: Path, video: Path, output: Path, steps: int, work: Path) -> None:
    """Make the person's system in `output`. work: the folder of all that is made on the way. Raises UserError."""
    before, card = load_system(folder), read_card(folder)
    data, trainings = work / "data", trained_for(before.name, card["paper"])
    p = prepare(work, folder, card)
    try:
        cut(video, work / "corpus", p.corpus.fps, p.audio_features.sample_rate)
        for stage in (bar := tqdm(stages_for(card["paper"], trainings), unit="stage", disable=None)):
            bar.set_description(stage.split()[0])
            run_stage(stage, work, video)
            if stage == "landmarks":
                check_person(work, video, p.corpus.fps)
    except UserError:
        shutil.rmtree(work)  # there is nothing to go on with, and it shows somebody
        raise
    for training in trainings:
        about = card["networks"].get(training)
        rates = about["parameters"]["rates"] if about else None
        change = partial(shortened, steps=steps, rates=rates)
        training_stage.run(card["paper"], training, p, data, work / "metrics", change)
    for training in set(SYSTEMS[before.name].networks) - set(trainings):
        keep(folder, card, training, data / "trained" / card["paper"] / training)
    make_system(before.name, data, output)
    usable = ClipStore(data, PERSON, "crops", "landmarks", "waveform").clips
    write_table(usable.reset_index(), data / "usable_clips.parquet")
    clips = HeldOutClips(data, PERSON, p.audio_features.sample_rate)
    side_by_side = output.with_name(f"{output.name}_before_after.mp4")
    figures = show({"before": before, "after": load_system(output)}, clips, p.seed, side_by_side)
    made = read_card(output)
    made["metrics"] = {"split": "the video's last fifth"} | figures
    (output / CARD).write_text(yaml.safe_dump(made, sort_keys=False, allow_unicode=True, width=120))
    table = pd.DataFrame(figures).T[list(SHOWN)].rename(columns=SHOWN)
    print(table.to_string(float_format="%.3f"), f"{output}: use it by --system; {side_by_side}", sep="\n")


def trained_for(system: str, paper: str) -> list[str]:
    """The trainings behind a system that minutes can teach, in their order."""
    needed = set(SYSTEMS[system].networks)
    for training in needed.copy():
        needed |= set(TRAININGS[paper, training].after)
    return [name for of, name in TRAININGS if of == paper and name in needed and TRAININGS[of, name].adapts]


def stages_for(paper: str, trainings: list[str]) -> list[str]:
    """What prepares the pieces for these trainings and for the table, as `python -m stages.…` names it, in order."""
    read = {"clips", "landmarks", "alignment", "audio_features"}
    read |= {name for training in trainings for name in TRAININGS[paper, training].reads}
    return [stage.runs.replace("${key}", PERSON) for stage in PREPROCESSING if stage.name in read]


def prepare(work: Path, folder: Path, card: dict[str, Any]) -> parameters.Parameters:
    """Make `work` a folder in which stages run, with params.yaml's values but for what the card says of the system."""
    values = yaml.load(Path("params.yaml").read_text(), parameters.Loader)
    how, group = card["preprocessing"], values[card["paper"]]
    given = {"image_size": how["image_size"], "transform": how["transform"], "template": str(folder.absolute())}
    values["strict"] = False
    values["corpus"] |= {"layout": "folder", "root": "corpus", "fps": how["fps"], "max_rejected": 1.0}
    values["landmarks"], values["faces"][PERSON] = how["landmarks"], given
    values["alignment"]["face_parsing"] = how["face_parsing"] and str(Path(how["face_parsing"]).absolute())
    values["action_units"]["backend"] = "landmarks"
    values["audio_features"] = how.get("mel", values["audio_features"])
    if characters := how.get("characters"):
        own = folder / str(characters["model"])
        model = characters["model"] and str((own if own.is_file() else Path(characters["model"])).absolute())
        values["character_features"] |= {"backend": characters["backend"], "model": model}
    group |= {"faces": PERSON, "init_from": str(folder.absolute())}
    for training, about in card["networks"].items():
        take_over(about["settings"] | about["parameters"], group.get(training, {}), group)
    sigmas = [how.get("sigma"), *(about["settings"].get("sigma") for about in card["networks"].values())]
    for sigma in filter(None, sigmas):
        values["heatmaps"]["sigma"] = sigma / float(inter_ocular_distance(np.array(how["template"])))
    work.mkdir(parents=True, exist_ok=True)
    (work / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (work / "dvc.yaml").write_text(render())  # stages look up in it which parameters they read
    return parameters.load(work / "params.yaml")


def take_over(values: dict[str, Any], *groups: dict[str, Any]) -> None:
    """Set what a network was made with in the first of the groups that has such a parameter. Groups in it are not parameters,
    but for the losses' weights."""
    for key, value in values.items():
        group = next((group for group in groups if key in group), {})
        if key in group.keys() - SCHEDULE and (key == "weights" or not isinstance(group[key], dict)):
            # Weights of terms that the network's objective lacks stay as they are.
            group[key] = group[key] | value if key == "weights" else value


def cut(video: Path, corpus: Path, fps: float, sample_rate: int) -> None:
    """Cut a video into pieces of PIECE_S seconds with their sound; `clips.csv` describes them: the last fifth is for tests.

    Frames are shrunk by a whole number to about MOST_PIXELS; what is left over at the end is not taken. Raises UserError where
    the video cannot be used, is silent, or shorter than LEAST_S seconds.
    """
    if (corpus / "clips.csv").exists():
        return
    n_frames, names = round(PIECE_S * fps), []
    try:
        if is_silent(video):
            raise ClipRejected("silent", f"{video}: its sound is digital silence")
        sound, total = read_audio(video, sample_rate), int(probe(video).duration_s // PIECE_S) or None
        for frames in tqdm(pieces(video, fps, n_frames), "cutting", total, unit="piece", disable=None):
            name, start = f"at_{len(names) * PIECE_S:04d}s", round(len(names) * n_frames / fps * sample_rate)
            write_video(corpus / f"{name}.mp4", frames, fps, **ENCODING)
            heard = sound[start : start + round(n_frames / fps * sample_rate)]
            soundfile.write(corpus / f"{name}.wav", heard, sample_rate, "FLOAT")
            names.append(name)
    except ClipRejected as problem:
        raise UserError(problem.detail or problem.reason) from problem
    if len(names) < LEAST_S // PIECE_S:
        raise UserError(f"{video} is shorter than {LEAST_S} s; one to five minutes are best")
    tested, validated = round(len(names) / 5), max(1, round(len(names) / 20))
    splits = ["test_sentences"] * tested + ["validation"] * validated + ["train"] * len(names)
    with (corpus / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "video", "audio", "subject", "emotion", "split"])
        for name, split in reversed(list(zip(reversed(names), splits, strict=False))):
            rows.writerow([name, f"{name}.mp4", f"{name}.wav", PERSON, "NEU", split])


def pieces(video: Path, fps: float, n_frames: int) -> Iterator[list[np.ndarray]]:
    """A video's frames, shrunk, n_frames at a time."""
    frames = stream_frames(video, fps)
    while len(piece := [shrunk(frame) for frame in islice(frames, n_frames)]) == n_frames:
        yield piece


def shrunk(frame: np.ndarray) -> np.ndarray:
    """A frame by a whole number smaller, of even sides."""
    shrink = max(1, round(max(frame.shape) / MOST_PIXELS))
    height, width = (side // shrink // 2 * 2 for side in frame.shape[:2])
    whole = frame[: height * shrink, : width * shrink]
    return whole if shrink == 1 else cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)


def run_stage(stage: str, work: Path, video: Path) -> None:
    """Run one in `work`. Raises UserError with what it says where it fails."""
    command = [sys.executable, "-m", *f"stages.{stage}".split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [f"{stage} failed"]
        raise UserError(f"{video}: {said[-1].removeprefix('error: ')}")


def check_person(work: Path, video: Path, fps: float) -> None:
    """Raises UserError where most pieces show no face that can be used, or where the video shows more than one person."""
    rejected = pd.read_parquet(work / "data" / "landmarks" / "rejected.parquet")
    others, found = rejected[rejected["reason"] == "another_person"], Tables(work / "data" / "landmarks" / "faces")
    if len(others):
        raise UserError(f"{video} shows several people (another_person: {others['detail'].iloc[0]})")
    if len(rejected) > len(found):
        example = rejected.iloc[0]
        raise UserError(f"{video}: most of it cannot be used ({example['reason']}: {example['detail']})")
    several = np.mean(np.concatenate([found[clip]["n_faces"] > 1 for clip in found]))
    if several > SEVERAL:
        raise UserError(f"{video} shows several faces in {several:.0%} of its frames; one person is needed")
    before = None
    for clip in sorted(found):
        # The stage compares faces within a piece; between them a cut would go unseen.
        now = embedding(next(stream_frames(work / "corpus" / f"{clip}.mp4", fps)), found.landmarks(clip)[0])
        if before is not None and np.linalg.norm(now - before) > ANOTHER:
            raise UserError(f"{video} shows several people (another_person: from {int(clip[3:7])} s on)")
        before = now


@dataclass(frozen=True)
class LongEpochs:
    """Batches of so many epochs as one: a person's few pieces make epochs of which validation would be the larger part."""

    batches: Batches
    times: int

    def __len__(self) -> int:
        return self.times * len(self.batches)

    def epoch(self, seed: int, number: int) -> Iterator[Batch]:
        for k in range(self.times):
            yield from self.batches.epoch(seed, self.times * number + k)

    def validation(self, seed: int) -> Iterator[Batch]:
        return self.batches.validation(seed)


def shortened(recipe: Recipe, steps: int, rates: dict[str, float] | None) -> Recipe:
    """The recipe's last phase, whose objective is the whole one, for so many steps. rates: None = the recipe's own.

    A running mean of the weights forgets what it began with: of that e⁻⁵, 0.7 %, is left at the end, or less.
    """
    times = max(1, steps // (EPOCHS * len(recipe.batches)))
    batches, last = LongEpochs(recipe.batches, times), recipe.phases[-1]
    phase = replace(last, epochs=-(-steps // len(batches)), steps=steps, rates=rates or last.rates)
    averaging = min(recipe.averaging, max(0.0, 1 - 5 / steps))
    knobs = recipe.knobs | {"epochs_as_one": times} | ({"averaging": averaging} if recipe.averaging else {})
    return replace(recipe, batches=batches, phases=(phase,), averaging=averaging, knobs=knobs)


def keep(folder: Path, card: dict[str, Any], training: str, out: Path) -> None:
    """Leave a system's network as if it had been trained on the person."""
    how = {key: card["preprocessing"][key] for key in FACES}
    save_network(
        out, load_file(folder / f"{training}.safetensors"), card["networks"][training] | {"preprocessing": how}
    )


def show(systems: dict[str, System], clips: HeldOutClips, seed: int, out: Path) -> dict[str, dict[str, float | None]]:
    """Draw the held-out pieces by each system; write them side by side, the real ones first, with their sound.

    Returns the figures of each and of the still photo: {name: {metric: mean over the pieces}}.
    """
    rows, shown, template = [], [], np.array(clips.about["template"])
    for clip in tqdm(sorted(clips.table.index), "held-out pieces", unit="piece", disable=None):
        crops = clips.crops[clip]
        made = {
            name: drawn_frames(system, crops[0], clips.driving(clip, system), seed_of(clip, seed))
            for name, system in systems.items()
        }
        truth = Clip(crops, detect_landmarks(crops))
        for name, frames in ({"static": REFERENCES["static"](crops)} | made).items():
            found = compare(truth, Clip(frames, detect_landmarks(frames)), template, clips.about["fps"])
            rows.append({"clip": clip, "system": name} | found.metrics)
        marked = [map(mark, map(enlarged, frames)) for frames in made.values()]
        shown += [np.hstack(row) for row in zip(map(enlarged, crops), *marked, strict=True)]
    sound = np.concatenate([clips.speech(clip) for clip in sorted(clips.table.index)])
    write_video(out, shown, clips.about["fps"], sound, clips.sample_rate, provenance(systems["after"]))
    return summarise(pd.DataFrame(rows))


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.adapt", description=__doc__, formatter_class=raw)
    parser.add_argument("--system", required=True, help="the trained system to begin with: its name, or its folder")
    parser.add_argument(
        "--video", type=Path, required=True, help="one person who speaks, with sound: one to five minutes"
    )
    parser.add_argument("--output", type=Path, required=True, help="the folder to make")
    parser.add_argument("--steps", type=int, default=600, help="of each training (default: %(default)s)")
    parser.add_argument("--force", action="store_true", help="replace the folder if it exists")
    args = parser.parse_args()
    if args.steps < 1:
        raise UserError(f"--steps: {args.steps} must be 1 or more")
    if args.output.exists() and not args.force:
        raise UserError(f"--output: {args.output} exists already; name another folder, or give --force")
    folder = find_system(args.system, DATA)
    key = hashlib.sha256(f"{checksum(args.video)} {checksum(folder)}".encode()).hexdigest()
    work = DATA / ".work" / "adapt" / key[:16]
    adapt(folder, args.video, args.output, args.steps, work)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
