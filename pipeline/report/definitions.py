"""What each figure of the report's tables is: its name, which way is better, and its meaning in a sentence."""

from typing import NamedTuple


class Metric(NamedTuple):
    """A column. better: 1 where more is, −1 where less is, 0 where neither (of two clips the one farther from 0 is looked at
    first). digits: shown after the point. meaning: a sentence for a reader who has never seen it."""

    label: str
    better: int
    digits: int
    meaning: str

    @property
    def heading(self) -> str:
        """The label, with an arrow that says which way is better."""
        return self.label + {1: " ↑", -1: " ↓", 0: ""}[self.better]

    def badness(self, value: float) -> float:
        """Greater for the worse of two clips."""
        return -self.better * value if self.better else abs(value)


# Their definitions in full: `pipeline.evaluation.evaluate.signature`, on the page as well.
METRICS = {
    "psnr": Metric("PSNR (dB)", 1, 2, "How near the pixels are to the real frame's, on a logarithmic scale."),
    "ssim": Metric("SSIM", 1, 3, "How alike small windows are in light, contrast and structure; 1 is the real frame."),
    "cpbd": Metric("CPBD", 1, 2, "Share of the edges whose blur nobody would notice; the real clips' is the measure."),
    "lmd": Metric("LMD (px)", -1, 3, "Distance of the mouth's landmarks from the real ones, both mouths on one place."),
    "lmd_iod": Metric("LMD / IOD", -1, 4, "The same in distances of the eyes, so that sizes of crops compare."),
    "nlmd": Metric("NLMD", -1, 4, "The same after both faces are turned and scaled to one template."),
    "mouth_correlation": Metric(
        "mouth correlation", 1, 2, "Does the mouth open and close when the real one does? 1: always."
    ),
    "mouth_lag": Metric("lag (frames)", 0, 1, "Frames by which the mouth follows the real one; 0 is in step."),
    "identity": Metric("identity", 1, 3, "How alike frames and photo are to a face recogniser; 1 is the photo itself."),
    "jitter": Metric("jitter", 0, 4, "How points tremble that speech does not move; the real clips' is the measure."),
    "flicker": Metric("flicker", 0, 2, "How pixels change that should be still, in grey levels from frame to frame."),
    "lpips": Metric(
        "LPIPS", -1, 3, "How unlike the real frame a network sees a frame that was fitted to people's eyes."
    ),
    "no_face": Metric("no face", -1, 3, "Share of the generated frames in which the detector finds no face."),
    "sync_offset": Metric(
        "sync offset (frames)", 0, 1, "Frames by which the face is late, to a judge of sync; 0 is in step."
    ),
    "sync_confidence": Metric(
        "sync confidence",
        1,
        3,
        "How sure that judge is that the mouth belongs to the speech; a still mouth has next to 0.",
    ),
    "sync_distance": Metric("sync distance", -1, 3, "How far mouth and speech are apart for it where they fit best."),
    "au_f1": Metric(
        "AU F1", 1, 2, "F1 of the action units of speech against the real frames, mean of those that occur."
    ),
    "au_accuracy": Metric("AU accuracy", 1, 2, "Share of frames in which an action unit is as in the real frame."),
    "blink_rate": Metric("blinks / s", 0, 2, "Blinks in a second; the real clips' are the measure."),
    "blink_duration": Metric("blink (s)", 0, 2, "How long the eyes stay shut in a blink, on average."),
    "blink_interval": Metric("between blinks (s)", 0, 2, "From the start of a blink to that of the next, on average."),
    "blink_distance": Metric("blinks' distance (s)", -1, 3, "How far the lengths of blinks are from the real ones'."),
    "fid": Metric("FID", -1, 1, "How far all frames together lie from the real ones, to a network; at equal n only."),
    "fvd": Metric("FVD", -1, 0, "The same of windows of 16 frames, which show motion too; at equal n only."),
}

MOTION = {
    "lmd": METRICS["lmd"],
    "lmd_iod": METRICS["lmd_iod"],
    "velocity_iod": Metric("velocity error", -1, 4, "Distance of the mouth's motion from the real one's, per frame."),
    "mouth_correlation": METRICS["mouth_correlation"],
    "blink_rate": METRICS["blink_rate"],
    "blink_duration": METRICS["blink_duration"],
    "blink_interval": METRICS["blink_interval"],
}

SILENCE = {
    "silence_motion": Metric(
        "motion in silence", -1, 4, "Deviation over time of the mouth's opening, nobody speaking."
    ),
    "silence_lmd": Metric("LMD in silence (px)", -1, 3, "Distance of the mouth from the photo's, nobody speaking."),
    "speech_motion": Metric("motion in speech", 0, 4, "The same deviation, with the clip's own speech."),
    "speech_lmd": Metric("LMD in speech (px)", 0, 3, "The same distance, with the clip's own speech."),
}

EMOTIONS = {
    "accuracy": Metric("accuracy", 1, 3, "Share of the clips in which the wanted emotion is recognised."),
    "accuracy_own_emotion": Metric("in the photo's own", 1, 3, "The same where the photo shows the wanted emotion."),
    "accuracy_other_emotion": Metric("in another", 1, 3, "The same where the photo shows another."),
}
