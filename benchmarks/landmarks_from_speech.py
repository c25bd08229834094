"""What do the cascades' first halves hear? Landmarks from speech, trained on a corpus, judged on raw landmarks of unseen clips.

    python -m benchmarks.landmarks_from_speech CORPUS_FOLDER [--set atvgnet.width=1 …]

The stages before training run on the corpus, in data/benchmarks, which keeps what they make; then AT-net and Sinha's
landmark network are trained with the parameters of params.yaml, changed by --set as `dvc exp run -S` does. For held-out
sentences of people who are known, and for each person who is not: r, the correlation of the predicted mouth opening with
that of landmarks as they were found (mean over clips), and the landmark distance as a share of that of the first frame,
repeated (`static`). The last line compares the landmark distance of the better network, over all clips, with `static`; its
deviation is that of the two networks.
"""

import argparse
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from benchmarks.project import ROOT, add_corpus, layout_of, run, videos
from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.evaluation.motion import evaluate_motion
from pipeline.papers.atvgnet import at_net
from pipeline.papers.atvgnet.speak import speak
from pipeline.papers.interface import Driving
from pipeline.papers.sinha import landmark_net
from pipeline.papers.sinha.speak import speak_without_blinks
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network
from stages import training

HERE = ROOT / "data" / "benchmarks" / "landmarks_from_speech"
STAGES = ("clips", "landmarks", "alignment {faces}", "audio_features", "character_features")
Predict = Callable[[Driving], np.ndarray]


def prepare(corpus: Path, changes: list[str], folder: Path) -> parameters.Parameters:
    """A checkout in `folder` that has the corpus's features; its parameters."""
    values = yaml.load((ROOT / "params.yaml").read_text(), parameters.Loader)
    paths = {"corpus.layout": layout_of(corpus), "corpus.root": str(corpus.resolve()), "corpus.max_rejected": 0.5}
    for key, value in (paths | dict(change.split("=", 1) for change in changes)).items():
        *groups, last = key.split(".")
        group = values
        for name in groups:
            group = group[name]
        group[last] = yaml.load(value, parameters.Loader) if isinstance(value, str) else value
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pipeline", "stages"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    p = parameters.load(folder / "params.yaml")
    for stage in STAGES:
        print(run(folder, "python", "-m", *f"stages.{stage}".format(faces=p.atvgnet.faces).split()).splitlines()[-1])
    return p


def train(p: parameters.Parameters, data: Path) -> dict[str, Predict]:
    """The trained networks in use: what drives a clip → landmarks (T, 68, 2) in crop pixels."""
    for paper in ("atvgnet", "sinha"):
        training.run(paper, "audio_to_landmark", p, data, data / "metrics")
    hears_mfcc, _ = load_network(data / "trained/atvgnet/audio_to_landmark", at_net.ATNet, at_net.Settings)
    hears_characters, _ = load_network(
        data / "trained/sinha/audio_to_landmark", landmark_net.LandmarkNet, landmark_net.Settings
    )
    return {
        "atvgnet": partial(speak, hears_mfcc, p.corpus.fps, seed=0),
        "sinha": partial(speak_without_blinks, hears_characters),
    }


def judge(networks: dict[str, Predict], store: ClipStore) -> pd.DataFrame:
    """A row per test clip and network: the clip's group, r and landmark distance beside that of `static`."""
    rows = []
    for clip in store.ids("test_sentences", "test"):
        about, truth = store.clips.loc[clip], store.landmarks.landmarks(clip)
        known = about["split"] == "test_sentences"
        driving = Driving(len(truth), truth[0], mfcc=store.mfcc[clip], characters=store.characters[clip])
        still = evaluate_motion(truth, np.repeat(truth[:1], len(truth), axis=0))["lmd"]
        for name, predict in networks.items():
            figures = evaluate_motion(truth, predict(driving))
            group = "known people, unseen sentences" if known else f"{about['subject']}, unseen person"
            rows.append({"network": name, "group": group, "r": figures["mouth_correlation"], "lmd": figures["lmd"]})
            rows[-1]["static"] = still
    return pd.DataFrame(rows)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.landmarks_from_speech", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="parameters other than params.yaml's")
    parser.add_argument("--folder", type=Path, default=HERE, help="where it keeps what it makes")
    args = parser.parse_args()
    videos(args.corpus, 1)  # or a word on how to get some
    p = prepare(args.corpus, args.set, args.folder)
    networks = train(p, args.folder / "data")
    store = ClipStore(args.folder / "data", p.atvgnet.faces, "landmarks", "mfcc", "characters")
    table = judge(networks, store)
    for (network, group), rows in table.groupby(["network", "group"]):
        share = rows["lmd"].mean() / rows["static"].mean()
        print(f"{network:<8} {group:<32} {len(rows):4d} clips   r {rows['r'].mean():.3f}   {share:.2f} x static")
    means = table.groupby("network")["lmd"].mean()
    still = table["static"].mean()
    print(
        f"landmarks_from_speech: ratio {still / means.min():.2f} (ours {means.min():.3f}, alternative {still:.3f} px; "
        f"deviation {np.ptp(means):.3f})"
    )


if __name__ == "__main__":
    main()
