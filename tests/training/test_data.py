import shutil

import numpy as np
import pytest
import torch

from pipeline.corpus.shards import write_shards
from pipeline.training.data import ClipStore, heatmaps_to_tensor, images_to_tensor, tensor_to_images
from pipeline.training.kesim_erzin import Clips, noise_vector


@pytest.fixture
def store(data):
    return ClipStore(data, "crops", "heatmaps", "mel")


@pytest.fixture
def clips_of(store):
    def make(speech=True, landmarks=True, excerpt_frames=8, seed=0):
        return Clips(store, excerpt_frames, seed, speech, landmarks, columns=2.4231, context=5)

    return make


def test_images_survive_the_way_to_the_network_and_back():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    tensor = images_to_tensor(images)
    assert tensor.min() == -1 and tensor.max() == 1 and tensor.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(tensor_to_images(tensor), images)
    assert heatmaps_to_tensor(np.full((2, 4, 4), 255, np.uint8)).max() == 1


def test_an_excerpt_is_that_part_of_the_clip_and_its_reference_the_first_frame(clips_of):
    clips, noise = clips_of(), noise_vector(0)
    whole, part = clips.clip("clip0", noise), clips.clip("clip0", noise, span=slice(3, 9))
    for name in ("frames", "mel", "heatmaps"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name)[3:9])
    torch.testing.assert_close(part.reference, whole.frames[0])
    torch.testing.assert_close(part.reference_heatmap, whole.heatmaps[0])


def test_mirroring_turns_pictures_and_leaves_speech(clips_of):
    clips, noise = clips_of(), noise_vector(0)
    straight, mirrored = clips.clip("clip0", noise), clips.clip("clip0", noise, mirror=True)
    for name in ("frames", "heatmaps", "reference", "reference_heatmap"):
        torch.testing.assert_close(getattr(mirrored, name), getattr(straight, name).flip(-1))
    torch.testing.assert_close(mirrored.mel, straight.mel)


def test_an_epoch_is_every_training_clip_once_half_of_them_mirrored(clips_of):
    clips = clips_of(landmarks=False)
    firsts = {clip: clips.clip(clip, noise_vector(0)).reference for clip in clips.train}
    mirrored, starts = [], set()
    for number in range(40):
        seen = []
        for clip in clips.epoch(number):
            assert clip.frames.shape[0] == 8
            for name, first in firsts.items():
                for flipped, reference in ((False, first), (True, first.flip(-1))):
                    if torch.equal(clip.reference, reference):
                        seen.append(name)
                        mirrored.append(flipped)
            starts.add(float(clip.frames[0, 0, 0, 0]))
        assert len(clips) == 3 and sorted(seen) == clips.train == ["clip0", "clip1", "clip2"]
    assert 0.35 < np.mean(mirrored) < 0.65
    assert len(starts) > 10


def test_an_epoch_depends_on_seed_and_number_only(clips_of):
    def frames(seed, number):
        return torch.stack([clip.frames for clip in clips_of(seed=seed).epoch(number)])

    torch.testing.assert_close(frames(0, 3), frames(0, 3))
    assert not torch.equal(frames(0, 3), frames(0, 4)) and not torch.equal(frames(0, 3), frames(1, 3))


def test_test_clips_are_never_trained_on(store):
    assert store.train == ["clip0", "clip1", "clip2"] and store.validation == ["clip3"]
    assert store.ids("test_sentences", "test") == ["clip4", "clip5"]


def test_a_clip_that_a_stage_rejected_is_not_used(data):
    shutil.rmtree(data / "audio_features" / "mel")
    write_shards(data / "audio_features" / "mel", [("clip0", np.zeros((30, 60), np.float32))])
    assert ClipStore(data, "crops", "heatmaps", "mel").ids("train") == ["clip0"]


def test_an_excerpt_may_begin_anywhere_and_is_all_of_a_shorter_clip(clips_of):
    """Clips 0 to 2 have 14 to 16 frames; each of their frames is the first of some excerpt of 14, as far as one fits."""
    spans = {clip: set() for clip in ("clip0", "clip1", "clip2")}
    clips = clips_of(landmarks=False, excerpt_frames=14)
    clips.excerpt = lambda clip, span, rng, augment: spans[clip].add((span.start, span.stop))
    for number in range(40):
        list(clips.epoch(number))
    assert spans == {"clip0": {(0, 14)}, "clip1": {(0, 14), (1, 15)}, "clip2": {(0, 14), (1, 15), (2, 16)}}
    clips.length = None
    list(clips.epoch(0))
    assert (0, 16) in spans["clip2"]


def test_validation_is_whole_clips_with_the_same_noise_every_time(clips_of):
    (first,), (again,) = clips_of().validation(), clips_of().validation()
    assert first.n_frames == 17 and torch.equal(first.noise, again.noise)
    torch.testing.assert_close(first.noise, noise_vector(0, 0))
