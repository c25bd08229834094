"""A photo and a recording for who has none at hand: `python -m pipeline.demo.example` writes them into data/example.

The portrait is scikit-image's `astronaut` (NASA), the voice eSpeak NG's.
"""

from pathlib import Path

import skimage.data
import soundfile
from PIL import Image

from pipeline.demo.speech import SAMPLE_RATE, Utterance, speak_all

OUT = Path("data/example")
SAID = Utterance(
    "Good morning. Give me one photo of a face and somebody's speech, and the face will say what it hears.",
    voice="en-us+f3",
    rate=150,
    pitch=50,
    pitch_range=50,
)


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    Image.fromarray(skimage.data.astronaut()).save(OUT / "portrait.png")
    (speech,) = speak_all([SAID], workers=1)
    soundfile.write(OUT / "speech.wav", speech.waveform, SAMPLE_RATE, subtype="PCM_16")
    print(f"{OUT}/portrait.png, {OUT}/speech.wav: {len(speech.waveform) / SAMPLE_RATE:.1f} s")


if __name__ == "__main__":
    main()
