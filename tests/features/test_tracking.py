import weakref

import cv2
import numpy as np
import pytest

from pipeline.demo.subjects import make_subject
from pipeline.errors import ClipRejected
from pipeline.features import tracking
from pipeline.features.detection import as_grey, detect_face, predict_landmarks
from pipeline.features.tracking import detect_clip, detect_video
from pipeline.video import read_frames, write_video


def detect(frames, redetect_every=25, max_missing=0.5, backend="dlib"):
    return detect_clip(frames, backend, redetect_every, max_missing, "clip")


@pytest.fixture(scope="module")
def grey(portrait):
    return as_grey(portrait)


def camera(grey, n, x=0.0, y=0.0, seed=0):
    """n frames of 360×300 with the portrait moved to (x, y), with a sensor's noise."""
    rng = np.random.default_rng(seed)
    move = np.array([[1, 0, x + 30], [0, 1, y]], float)
    still = cv2.warpAffine(grey, move, (360, 300), borderMode=cv2.BORDER_REPLICATE)
    return [np.clip(still + rng.normal(0, 2, still.shape), 0, 255).astype(np.uint8) for _ in range(n)]


def alone(frame):
    """What detection in one frame by itself gives."""
    return predict_landmarks(frame, detect_face(frame))


def off(faces, frames, t):
    return np.linalg.norm(faces.landmarks[t] - alone(frames[t]), axis=1).mean()


@pytest.fixture
def looks(monkeypatch):
    """How often HOG is asked."""
    calls, find = [], tracking.find_faces
    monkeypatch.setattr(tracking, "find_faces", lambda *args: calls.append(1) or find(*args))
    return calls


def test_a_quiet_face_is_detected_once_in_so_many_frames(grey, looks):
    frames = camera(grey, 60)
    faces = detect(frames, redetect_every=25)
    assert len(looks) == 3
    assert faces.has_face.all() and (faces.n_faces == 1).all()
    assert max(off(faces, frames, t) for t in (0, 13, 24, 40, 59)) < 0.2
    assert (
        faces.boxes.dtype == np.int32 and faces.landmarks.dtype == np.float32 and faces.landmarks.shape == (60, 68, 2)
    )


def test_frames_are_not_kept(grey):
    given, freed = [], []

    def stream():
        for frame in camera(grey, 12):
            frame = frame.copy()
            weakref.finalize(frame, freed.append, 1)
            given.append(1)
            assert len(given) - len(freed) <= 2
            yield frame

    assert detect(stream()).has_face.all()


def test_a_cut_to_another_place_and_face_is_noticed(grey):
    frames = camera(grey, 8) + camera(np.ascontiguousarray(grey[:, ::-1]), 8, x=45, y=20)
    faces = detect(frames)
    assert faces.has_face.all()
    assert off(faces, frames, 7) < 0.2 and off(faces, frames, 8) < 0.2 and off(faces, frames, 15) < 0.2


def test_another_face_in_the_same_place_is_noticed(grey, looks):
    x = 2 * 142 - 300  # mirrored about its own centre
    frames = camera(grey, 8) + camera(np.ascontiguousarray(grey[:, ::-1]), 8, x=x)
    faces = detect(frames)
    assert len(looks) == 2
    assert off(faces, frames, 8) < 0.2


def test_a_face_that_leaves_is_let_go(grey):
    frames = [camera(grey, 1, x=8 * t, seed=t)[0] for t in range(40)]
    faces = detect(frames, max_missing=0.8)
    truth = np.array([detect_face(frame) is not None for frame in frames])
    assert not truth[35:].any()
    # It may be held on to for some frames while half of it is in sight, but not for longer.
    assert faces.has_face[truth].all() and (faces.has_face & ~truth).sum() <= 3


def test_a_covered_face_is_not_made_up(grey):
    frames = camera(grey, 24)
    for frame in frames[8:14]:
        frame[60:200, 80:260] = 0
    faces = detect(frames)
    assert np.array_equal(np.flatnonzero(~faces.has_face), np.arange(8, 14))
    # It came back where it was: bridging it is a straight line.
    assert np.abs(faces.landmarks[10] - faces.landmarks[7]).max() < 2
    assert (faces.n_faces[8:14] == 0).all() and faces.n_faces[14] == 1


def mouth_covered(frame, t):
    if t >= 8:
        frame[132:200, 80:260] = 0


def blurred(frame, t):
    if t >= 8:
        frame[:] = cv2.GaussianBlur(frame, (0, 0), 6)


def hand_rises(frame, t):
    frame[200 - 5 * min(t, 20) : 210, 80:260] = 0


def fades_into_noise(frame, t):
    noise = np.random.default_rng(t).normal(100, 2, frame.shape)
    frame[:] = frame * max(0, 1 - t / 15) + noise * min(1, t / 15)


@pytest.mark.parametrize("fault", [mouth_covered, blurred, hand_rises, fades_into_noise])
def test_a_face_is_not_held_on_to_where_hog_would_not_find_it(grey, fault):
    """Landmarks fitted to what is no face often lie where the face was: its picture is looked at, too."""
    frames = camera(grey, 22)
    for t, frame in enumerate(frames):
        fault(frame, t)
    truth = np.array([detect_face(frame) is not None for frame in frames])
    assert truth[:4].all() and not truth[18:].any()
    faces = detect(frames, max_missing=0.9)
    assert faces.has_face[truth].all() and (faces.has_face & ~truth).sum() <= 2


@pytest.mark.parametrize("speed", [3, 12, 30])
def test_a_moving_face_is_kept_up_with(grey, speed):
    path = np.concatenate([np.arange(0, 90, speed), np.arange(90, 0, -speed)])
    frames = [camera(grey, 1, x=x - 45, seed=t)[0] for t, x in enumerate(path)]
    faces = detect(frames)
    assert faces.has_face.all()
    assert np.mean([off(faces, frames, t) for t in range(len(frames))]) < 0.5
    assert max(off(faces, frames, t) for t in range(len(frames))) < 1.5


def two(grey, n, scale=1.0, shown=range(1000)):
    """The portrait on the left; in the frames `shown`, another on the right, larger by `scale` (a function of the frame)."""
    rng = np.random.default_rng(0)
    for t in range(n):
        frame = np.full((360, 640), 100, np.uint8)
        frame[30:330, :300] = grey
        if t in shown:
            s = scale(t) if callable(scale) else scale
            frame[:, 300:] = cv2.warpAffine(grey[:, ::-1].copy(), np.array([[s, 0, 0], [0, s, 10.0]]), (340, 360))
        yield np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)


def test_one_of_two_alike_is_kept(grey):
    """Which of them is the larger changes from second to second."""
    faces = detect(two(grey, 40, scale=lambda t: 1.1 if t // 10 % 2 else 0.95), redetect_every=5)
    assert faces.has_face.all() and (faces.n_faces == 2).all()
    assert np.ptp(faces.landmarks[:, 30, 0]) < 100


def test_a_larger_face_that_passes_by_is_not_the_clips(grey):
    faces = detect(two(grey, 40, scale=1.1, shown=range(10, 22)), redetect_every=5)
    assert faces.has_face.all() and (faces.landmarks[:, 30, 0] < 300).all()
    assert set(faces.n_faces) == {1, 2} and faces.n_faces[0] == 1 and faces.n_faces[15] == 2


def test_the_others_face_does_not_fill_a_gap(grey):
    frames = list(two(grey, 30))
    for frame in frames[10:14]:
        frame[100:250, 60:230] = 0
    for left in (True, False):
        faces = detect([f if left else np.ascontiguousarray(f[:, ::-1]) for f in frames])
        assert np.ptp(faces.landmarks[:, 30, 0]) < 20


@pytest.mark.parametrize("name", ["edge/QoT0S2vu9m4_00002.mp4", "lrs2/5535415699068794046_00004.mp4"])
def test_a_head_that_turns_away_is_let_go(real_clips, name):
    if not (real_clips / name).exists():
        pytest.skip(f"no {name} among the clips")
    frames = [as_grey(frame) for frame in read_frames(real_clips / name, 25)]
    truth = np.array([detect_face(frame) is not None for frame in frames])
    assert 0.6 < truth.mean() < 0.9
    faces = detect(frames)
    assert faces.has_face[truth].all() and (faces.has_face & ~truth).sum() <= 2


def clip_with(tmp_path, portrait, shown):
    blank = np.zeros_like(portrait)
    write_video(tmp_path / "clip.mp4", [portrait if face else blank for face in shown], 25)
    return tmp_path / "clip.mp4"


@pytest.fixture(params=["dlib", "mediapipe"])
def backend(request):
    if request.param == "mediapipe":
        pytest.importorskip("mediapipe")
    return request.param


def test_a_short_gap_is_bridged(tmp_path, portrait, backend):
    path = clip_with(tmp_path, portrait, [1] * 8 + [0] + [1] * 8)
    faces = detect_video(path, 25, backend, 25, max_missing=0.1)
    assert faces.has_face.sum() == 16 and not faces.has_face[8]
    assert np.abs(faces.landmarks[8] - faces.landmarks[7]).max() < 5


def test_a_clip_may_begin_in_black(tmp_path, portrait, backend):
    path = clip_with(tmp_path, portrait, [0] * 4 + [1] * 36)
    faces = detect_video(path, 25, backend, 25, max_missing=0.1)
    assert np.array_equal(np.flatnonzero(~faces.has_face), np.arange(4))
    assert (faces.landmarks[:4] == faces.landmarks[4]).all() and faces.landmarks[0].any()


def test_frames_that_cannot_save_a_clip_are_not_looked_at(tmp_path, portrait, looks):
    """40 of 400 may be without a face."""
    with pytest.raises(ClipRejected, match="no face in 41 of 51 frames"):
        detect_video(clip_with(tmp_path, portrait, [1] * 10 + [0] * 390), 25, "dlib", 25, max_missing=0.1)
    assert len(looks) < 45


def test_a_face_that_may_yet_come_back_is_waited_for(tmp_path, portrait):
    path = clip_with(tmp_path, portrait, [1] * 10 + [0] * 39 + [1] * 351)
    assert detect_video(path, 25, "dlib", 25, max_missing=0.1).has_face.sum() == 361


def person(number):
    """A still of one of the demo's people: all have their eyes in one place, before much the same ground."""
    subject = make_subject(number)
    share = subject.picture[..., 3:] / 255
    return (subject.picture[..., :3] * share + subject.background * (1 - share)).astype(np.uint8)


def test_a_cut_to_another_person_is_rejected(tmp_path, backend):
    write_video(tmp_path / "cut.mp4", [person(1005)] * 12 + [person(1006)] * 12, 25)
    with pytest.raises(ClipRejected, match=r"another person from 0\.48 s") as rejection:
        detect_video(tmp_path / "cut.mp4", 25, backend, 25, max_missing=0.1)
    assert rejection.value.reason == "another_person"


def test_a_cut_to_another_camera_is_not(tmp_path, portrait, backend):
    nearer = cv2.resize(portrait[:220, 40:260], (300, 300), interpolation=cv2.INTER_CUBIC)
    write_video(tmp_path / "cut.mp4", [portrait] * 12 + [nearer] * 12, 25)
    faces = detect_video(tmp_path / "cut.mp4", 25, backend, 25, max_missing=0.1)
    assert faces.has_face.all() and np.ptp(faces.landmarks[:, 36:48].mean(axis=1), axis=0).max() > 10


@pytest.mark.parametrize(("shake", "reason"), [(0, None), (3, "unsteady")])
def test_landmarks_that_tremble_are_rejected(tmp_path, portrait, backend, shake, reason):
    """There and back by 3 px in every frame: an acceleration of 6 px, 14 % of the eyes' distance of 43 px."""
    write_video(tmp_path / "clip.mp4", [np.roll(portrait, shake * (t % 2), axis=1) for t in range(24)], 25)
    try:
        detect_video(tmp_path / "clip.mp4", 25, backend, 1, max_missing=0.1)
        assert reason is None
    except ClipRejected as rejection:
        assert rejection.reason == reason


@pytest.mark.parametrize(
    ("shown", "reason"), [([1] * 10 + [0] * 10, "no_face"), ([0] * 5, "no_face"), ([1] * 4, "too_short")]
)
def test_a_clip_without_its_face_is_rejected(tmp_path, portrait, shown, reason, backend):
    with pytest.raises(ClipRejected) as rejection:
        detect_video(clip_with(tmp_path, portrait, shown), 25, backend, 25, max_missing=0.1)
    assert rejection.value.reason == reason
