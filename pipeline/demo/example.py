"""A photo and a recording for those who have none at hand: `python -m pipeline.demo.example` writes them into data/example.

The portrait is the first person of the demo corpus, made from scikit-image's `astronaut` (NASA). Her lips are closed, as
suits a photo that is to speak. The voice is eSpeak NG's. The README's moving picture is the portrait, made to speak:

    make talk
    python -m pipeline.demo.example --picture talk.mp4
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from pipeline.demo.speech import SAMPLE_RATE, Utterance, speak_all
from pipeline.demo.subjects import make_subject
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.video import stream_frames

OUT = Path("data/example")
PICTURE = Path("docs/demo.webp")
PICTURE_MS = 80  # a frame's; half of the video's frames: half of the bytes, and lips can still be followed
PERSON = 1001
SAID = Utterance(
    "Good morning. Give me one photo of a face and somebody's speech, and the face will say what it hears.",
    voice="en-us+f3",
    rate=150,
    pitch=50,
    pitch_range=50,
)


def make_example() -> None:
    """Write portrait.png and speech.wav."""
    OUT.mkdir(parents=True, exist_ok=True)
    her = make_subject(PERSON)
    shown, of_person = her.picture[..., :3].astype(np.float32), her.picture[..., 3:] / np.float32(255)
    portrait = her.background + of_person * (shown - her.background)
    Image.fromarray(np.rint(portrait).astype(np.uint8)).save(OUT / "portrait.png")
    (speech,) = speak_all([SAID], workers=1)
    soundfile.write(OUT / "speech.wav", speech.waveform, SAMPLE_RATE, subtype="PCM_16")
    print(f"{OUT}/portrait.png, speech.wav: {len(speech.waveform) / SAMPLE_RATE:.1f} s")


def make_picture(video: Path, picture: Path) -> None:
    """The video as a moving picture that a web page shows by itself, without sound: animated WebP, over and over.

    Raises UserError for a video that cannot be read.
    """
    try:
        first, *others = map(Image.fromarray, stream_frames(video, 1000 / PICTURE_MS))
    except ClipRejected as problem:
        raise UserError(problem.detail or problem.reason) from problem
    first.save(picture, save_all=True, append_images=others, duration=PICTURE_MS, loop=0, quality=80, method=6)
    print(f"{picture}: {1 + len(others)} frames, {picture.stat().st_size / 1000:.0f} kB")


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.demo.example", description=__doc__, formatter_class=raw)
    parser.add_argument("--picture", type=Path, metavar="VIDEO", help=f"write {PICTURE} from this video instead")
    args = parser.parse_args()
    if args.picture:
        make_picture(args.picture, PICTURE)
    else:
        make_example()


if __name__ == "__main__":
    main()
