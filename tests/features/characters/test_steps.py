import numpy as np
import pytest

from pipeline.features.characters.steps import Scores, StepWindows, step_windows


def ramp(n, first_s=0.01):
    """Scores whose value is their own time in seconds; −1 in silence."""
    values = (first_s + np.arange(n) / 50)[:, None].astype(np.float32)
    return Scores("ramp", ("time",), values, first_s, np.array([-1.0]))


@pytest.mark.parametrize("first_s", [0.01, 0.0125, 0.0178])
@pytest.mark.parametrize("fps", [25, 30, 29.97])
def test_the_sixteen_steps_are_centred_on_the_middle_of_the_frame(first_s, fps):
    windows = step_windows(ramp(100, first_s), 40, fps)
    assert windows.shape == (40, 16, 1) and windows.dtype == np.float32
    for t in (10, 20, 30):
        middle = (t + 0.5) / fps
        assert windows[t, :, 0] == pytest.approx(middle + np.linspace(-0.15, 0.15, 16), abs=1e-5)


def test_at_25_frames_a_second_the_steps_are_taken_as_they_are():
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    windows = step_windows(Scores("noise", ("a", "b", "c"), values, 0.01, np.zeros(3)), 25, 25)
    assert np.array_equal(windows[10], values[13:29]) and np.array_equal(windows[11], values[15:31])


@pytest.mark.parametrize("n", [0, 1, 5, 49, 50, 51, 400])
def test_there_is_a_window_per_frame_whatever_the_length_and_silence_beyond(n):
    windows = step_windows(ramp(n), 25, 25)
    assert windows.shape == (25, 16, 1)
    assert (windows[0, :7] == -1).all()
    # The last frame's middle is at 0.98 s: its steps are 41 … 56.
    assert (windows[-1, :, 0] == -1).sum() == np.clip(57 - n, 0, 16)
    assert step_windows(ramp(n), 0, 25).shape == (0, 16, 1)


def test_a_span_of_windows_is_that_of_all_of_them():
    values = np.random.default_rng(0).normal(size=(120, 3)).astype(np.float32)
    scores = Scores("noise", ("a", "b", "c"), values, 0.0178, np.zeros(3))
    lazy, made = StepWindows(scores, 60, 29.97), step_windows(scores, 60, 29.97)
    assert len(lazy) == len(made) == 60 and np.array_equal(np.asarray(lazy), made)
    for span in (slice(0, 50), slice(50, 60), slice(59, 60)):
        assert lazy[span].tobytes() == made[span].tobytes()
