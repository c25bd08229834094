import numpy as np
import pytest

from pipeline.evaluation.lip_sync.speech import cepstra, mel_bands, speech_windows

# By python_speech_features 0.6, `mfcc(chirp.astype(np.int16), 16000)`: columns 0, 10 and 25.
REFERENCE = """
18.0254 25.7163 17.6345 12.0099 5.9399 -1.2686 -7.5358 -13.8752 -18.2180 -21.1855 -21.0428 -19.7679 -16.7492
18.8266 23.9338 11.6369 -0.0167 -12.0396 -22.5495 -27.8684 -28.2574 -23.0010 -14.5814 -4.4776 3.5727 8.6002
19.6615 23.7654 3.6217 -15.5302 -27.4801 -27.2352 -14.2301 3.0929 17.2424 21.0001 15.2075 2.7559 -8.6994
"""


@pytest.fixture
def chirp():
    """Half a second at 16 kHz that rises and swells, with digital silence at its end, on the scale of 16 bits."""
    t = np.arange(8000) / 16_000
    sound = np.rint(8000 * np.sin(2 * np.pi * (200 * t + 600 * t * t)) * (1 + 0.5 * np.sin(2 * np.pi * 4 * t)))
    sound[6000:] = 0
    return sound


def test_mfcc_are_those_of_the_reference(chirp):
    expected = np.array(REFERENCE.split(), float).reshape(3, 13)
    np.testing.assert_allclose(cepstra(chirp)[[0, 10, 25]], expected, atol=1e-4)
    assert np.isfinite(cepstra(chirp)).all()


def test_bands_are_triangles_side_by_side():
    bands = mel_bands()
    assert bands.shape == (26, 257) and bands.max() == 1
    between = slice(bands[0].argmax(), bands[-1].argmax() + 1)
    np.testing.assert_allclose(bands[:, between].sum(axis=0), 1)


def test_a_frames_window_begins_with_it_and_after_the_end_is_silence(chirp):
    windows = speech_windows(chirp / 32768, 16_000, n_frames=14, fps=25)
    assert windows.shape == (14, 13, 20) and windows.dtype == np.float32
    columns = cepstra(chirp)
    np.testing.assert_allclose(windows[3], columns[12:32].T, rtol=1e-5, atol=1e-4)
    assert np.allclose(windows[13, 0], np.log(np.finfo(float).eps)) and np.allclose(windows[13, 1:], 0, atol=1e-6)
