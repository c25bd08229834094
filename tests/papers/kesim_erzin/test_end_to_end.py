"""Training of Kesim & Erzin's four systems: what they are given, and what they leave."""

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.papers.kesim_erzin.end_to_end import INPUTS, recipe
from pipeline.papers.kesim_erzin.networks import Generator, Settings, noise_vector
from pipeline.papers.registry import SYSTEMS
from pipeline.training.trained import load_network


@pytest.fixture
def clips_of(data, parameters):
    """What a row of Table 1 learns from: clips_of("speech", excerpt_frames=8)."""

    def make(row, **changes):
        return recipe(parameters(kesim_erzin=changes), data, row).batches

    return make


def test_an_excerpt_is_that_part_of_the_clip_and_its_reference_the_first_frame(clips_of):
    clips, noise = clips_of("speech_landmark"), noise_vector(0)
    whole, part = clips.clip("clip0", noise), clips.clip("clip0", noise, span=slice(3, 9))
    for name in ("frames", "mel", "heatmaps"):
        torch.testing.assert_close(getattr(part, name), getattr(whole, name)[3:9])
    torch.testing.assert_close(part.reference, whole.frames[0])
    torch.testing.assert_close(part.reference_heatmap, whole.heatmaps[0])


def test_mirroring_turns_pictures_and_leaves_speech(clips_of):
    clips, noise = clips_of("speech_landmark"), noise_vector(0)
    straight, mirrored = clips.clip("clip0", noise), clips.clip("clip0", noise, mirror=True)
    for name in ("frames", "heatmaps", "reference", "reference_heatmap"):
        torch.testing.assert_close(getattr(mirrored, name), getattr(straight, name).flip(-1))
    torch.testing.assert_close(mirrored.mel, straight.mel)


def test_an_epoch_is_every_training_clip_once_half_of_them_mirrored(clips_of):
    clips = clips_of("speech", excerpt_frames=8)
    firsts = {clip: clips.clip(clip, noise_vector(0)).reference for clip in clips.train}
    mirrored, starts = [], set()
    for number in range(40):
        seen = []
        for clip in clips.epoch(0, number):
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


def test_validation_is_whole_clips_with_the_same_noise_every_time(clips_of):
    clips = clips_of("landmark")
    (first,), (again,) = clips.validation(0), clips.validation(0)
    assert first.n_frames == 17 and torch.equal(first.noise, again.noise)
    torch.testing.assert_close(first.noise, noise_vector(0, 0))


@pytest.mark.parametrize("row", INPUTS)
def test_each_row_sees_and_hears_what_its_system_is_driven_by(row, clips_of):
    clip = next(clips_of(row).epoch(0, 0))
    given = {"mel": clip.mel is not None, "landmarks": clip.heatmaps is not None}
    assert {name for name, is_given in given.items() if is_given} == SYSTEMS[f"kesim_erzin_{row}"].needs
    assert (clip.reference_heatmap is None) == (clip.heatmaps is None)


@pytest.mark.parametrize("row", INPUTS)
def test_each_row_trains_and_leaves_what_it_says(row, parameters, train_on):
    trained = train_on("kesim_erzin", row, parameters(kesim_erzin={"epochs": 1}))
    made = {"frame", "sequence", "feature_matching"} - ({"feature_matching"} if row == "speech_without_fm" else set())
    columns = {f"generator_{name}" for name in made} | {"discriminator_frame", "discriminator_sequence"}
    assert set(trained.losses) == {"phase", "epoch", "validation_error", *columns}
    assert trained.losses.notna().all(axis=None)
    _, about = load_network(trained.folder, Generator, Settings)
    # Windows of 33 ms, half a window apart, over 11 frames of 40 ms: 440 / 16.5 = 26.7, made odd.
    assert about["settings"]["mel_columns"] == 27 and about["settings"]["context_frames"] == 5
    assert about["preprocessing"]["mel"] == {"sample_rate": 22050, "mel_bands": 60, "window_ms": 33.0}
    assert about["preprocessing"]["fps"] == 25 and about["preprocessing"]["sigma"] == 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_it_trains_in_either_arithmetic(precision, parameters, train_on):
    """bfloat16 computes with copies of the weights: what a step changes too early only shows in float32."""
    machine, few = {"device": "cpu", "precision": precision}, {"epochs": 1, "excerpt_frames": 5}
    trained = train_on("kesim_erzin", "speech_landmark", parameters(training=machine, kesim_erzin=few))
    assert np.isfinite(trained.losses).all(axis=None)


def test_nothing_to_train_for_is_one_line(parameters, train_on):
    weights = dict.fromkeys(("frame", "sequence", "feature_matching"), 0)
    with pytest.raises(UserError, match=r"kesim_erzin\.landmark\.weights: .* nothing to begin with"):
        train_on("kesim_erzin", "landmark", parameters(kesim_erzin={"landmark": {"weights": weights}}))
