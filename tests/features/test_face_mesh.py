import numpy as np
import pytest

from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import MIRRORED, inter_ocular_distance
from pipeline.video import read_frames

pytest.importorskip("mediapipe")

from pipeline.features.face_mesh import VERTICES, ibug_landmarks, mesh_faces
from pipeline.features.tracking import LEAST_FRAMES, detect_clip

REGIONS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "lips": slice(48, 60),
    "inner lips": slice(60, 68),
}
# Mean distance of the two detectors' points, as a share of the inter-ocular distance. dlib's own jitter is about 0.01.
LIMITS = {"jaw": 0.15, "brows": 0.10, "nose": 0.06, "eyes": 0.06, "lips": 0.07, "inner lips": 0.07}

# The same in pixels, for faces of GRID (360×288, eyes 46 to 55 px apart): a third more than what six of its speakers gave.
PIXELS = {"jaw": 8, "brows": 4, "nose": 2.3, "eyes": 2.8, "lips": 2.2, "inner lips": 2.8}


def too_far(mesh, dlib):
    """The regions where points by MediaPipe, (…, 68, 2), lie further from dlib's than the limit."""
    distance = np.linalg.norm(mesh - dlib, axis=-1) / inter_ocular_distance(dlib)[..., None]
    return {name for name, part in REGIONS.items() if distance[..., part].mean() > LIMITS[name]}


@pytest.fixture(scope="module")
def found(portrait):
    return next(mesh_faces([portrait]))[0]


@pytest.fixture(scope="module")
def dlib(portrait):
    return predict_landmarks(portrait, detect_face(portrait))


def test_a_point_is_the_mean_of_its_vertices():
    mesh = np.stack([np.arange(468.0), 2 * np.arange(468.0)], axis=1)
    points = ibug_landmarks(mesh)
    assert points.shape == (68, 2)
    assert points[8, 0] == 152 and points[2, 0] == (93 + 132) / 2 and points[2, 1] == 93 + 132
    assert np.array_equal(ibug_landmarks(np.stack([mesh, mesh + 1]))[1], points + 1)
    assert len(VERTICES) == 68 and len(set(VERTICES)) == 68


def test_the_portraits_points_lie_by_dlibs(found, dlib):
    assert too_far(found, dlib) == set()


def test_wrong_tables_would_be_noticed(found, dlib):
    assert too_far(found[MIRRORED], dlib) == set(REGIONS)
    for name, part in REGIONS.items():
        for shift in (1, -1):
            shifted = found.copy()
            shifted[part] = np.roll(found[part], shift, axis=0)
            assert too_far(shifted, dlib) == {name}


def test_a_mirrored_portrait_has_mirrored_points(portrait, found):
    other = next(mesh_faces([np.ascontiguousarray(portrait[:, ::-1])]))[0]
    other = (other * [-1, 1] + [portrait.shape[1] - 1, 0])[MIRRORED]
    assert np.linalg.norm(other - found, axis=1).mean() < 0.03 * inter_ocular_distance(found)


def test_equal_runs_are_equal_and_silent(portrait, capfd):
    frames = [np.roll(portrait, k, axis=1) for k in range(LEAST_FRAMES)]
    first, second = (detect_clip(frames, "mediapipe", 25, 0.1, "clip") for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert first.has_face.all() and (first.n_faces == 1).all() and first.landmarks.dtype == np.float32
    assert capfd.readouterr() == ("", "")


def test_two_faces_are_counted(portrait):
    frame = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    faces = detect_clip([frame] * 6, "mediapipe", 25, 0.1, "clip")
    assert (faces.n_faces == 2).all()
    assert np.ptp(faces.landmarks[:, 30, 0]) < 20


def test_real_faces_lie_by_dlibs(real_clips):
    clips = [real_clips.parent / "grid/s1/bbaf2n.mpg", real_clips.parent / "grid/s22/lbbc2a.mpg"]
    clips += [real_clips / "voxceleb/test_video.mp4", real_clips / "hdtf/WDA_KatieHill_000.mp4"]
    for clip in (clip for clip in clips if clip.exists()):
        frames = read_frames(clip, 25)[::8]
        mesh = detect_clip(frames, "mediapipe", 25, 0.1, str(clip))
        dlib = detect_clip(frames, "dlib", 1, 0.1, str(clip))
        assert too_far(mesh.landmarks, dlib.landmarks) == set(), clip
        assert too_far(mesh.landmarks[:, MIRRORED], dlib.landmarks) == set(REGIONS), clip


@pytest.mark.parametrize("speaker", ["s1", "s3", "s5", "s20", "s22", "s32"])
def test_points_of_grid_lie_within_pixels_of_dlibs(real_clips, speaker):
    clip = next(iter(sorted((real_clips.parent / "grid" / speaker).glob("*.mpg"))), None)
    if clip is None:
        pytest.skip("no GRID corpus beside the clips")
    frames = read_frames(clip, 25)[::8]
    mesh, dlib = (detect_clip(frames, backend, 1, 0.1, str(clip)).landmarks for backend in ("mediapipe", "dlib"))
    distance = np.linalg.norm(mesh - dlib, axis=-1)
    found = {name: float(distance[:, part].mean()) for name, part in REGIONS.items()}
    assert all(found[name] < PIXELS[name] for name in REGIONS), found
