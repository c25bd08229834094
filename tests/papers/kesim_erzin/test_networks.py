"""The networks against the paper's text: sizes, what each sees, what each is trained by."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from pipeline.blocks.composition import Frames
from pipeline.blocks.layers import Down, Up
from pipeline.papers.kesim_erzin.networks import NOISE_SIZE, Clip, Generator, KesimErzin, Settings
from pipeline.training.recipe import Phase
from pipeline.training.runner import computed, serves

PAPER = Settings(
    speech=True,
    landmarks=True,
    image_size=64,
    context_frames=5,
    mel_columns=27,
    mel_bands=60,
    width=1.0,
    decision_every=5,
)
SMALL = replace(PAPER, width=0.0625)
INPUTS = [(True, False), (False, True), (True, True)]
WEIGHTS = {"frame": 1.0, "sequence": 1.0, "feature_matching": 100.0}


def clip(s: Settings, n: int = 10) -> Clip:
    g = torch.Generator().manual_seed(0)

    def values(*shape):
        return torch.rand(*shape, generator=g)

    size = s.image_size
    return Clip(
        reference=values(3, size, size) * 2 - 1,
        noise=torch.randn(NOISE_SIZE, generator=g),
        frames=values(n, 3, size, size) * 2 - 1,
        mel=values(n, s.mel_columns, s.mel_bands) if s.speech else None,
        heatmaps=values(n, 1, size, size) if s.landmarks else None,
        reference_heatmap=values(1, size, size) if s.landmarks else None,
    )


def untrained(s: Settings) -> KesimErzin:
    torch.manual_seed(0)
    return KesimErzin(s)


def terms_of(weights: dict[str, float]) -> tuple[set[str], set[str]]:
    """The terms of the generator and of the discriminators that are computed with these weights."""
    model, example, phase = untrained(SMALL), clip(SMALL), Phase(1, weights, {})
    fake = model.generate(example)
    made = computed(model.generator_terms(example, fake), phase.weights.get)
    return set(made), set(computed(model.discriminator_terms(example, fake), partial(serves, model, phase)))


def convolutions(module):
    found = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
    return [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in found]


def test_layers_are_those_of_the_paper():
    """(filters, kernel, stride) of §3.1, §3.2, §3.5, §3.6; the decoder's strides are upsamplings before the convolution."""
    model = untrained(PAPER)
    assert convolutions(model.generator.image_encoder) == [
        (64, 3, 2),
        (128, 3, 2),
        (256, 3, 2),
        (256, 3, 2),
        (256, 4, 4),
    ]
    assert convolutions(model.generator.speech_cnn) == [(128, 3, 2)] * 4
    assert convolutions(model.frame_discriminator) == [(64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 3, 2), (512, 4, 4)]
    assert convolutions(model.sequence_discriminator.image_cnn) == [(64, 3, 2), (128, 3, 2), (128, 3, 2), (128, 3, 2)]
    decoder = model.generator.decoder
    assert convolutions(decoder.first) + convolutions(decoder.ups) == [
        *[(256, 3, 1), (256, 3, 1), (128, 3, 1), (64, 3, 1), (3, 2, 1)]
    ]
    assert convolutions(decoder.skips) == [(256, 3, 1), (256, 3, 1), (128, 3, 1), (64, 3, 1)]
    assert (model.generator.speech_lstm.hidden_size, model.generator.noise_lstm.hidden_size) == (256, 128)
    assert model.sequence_discriminator.lstm.hidden_size == 512


def test_the_number_of_parameters_is_that_of_the_joint_network():
    """Counted by hand for the image encoder: 5·64·9+64, 64·128·9+128, 128·256·9+256, 256·256·9+256, 256·256·16+256."""
    encoder = untrained(PAPER).generator.image_encoder
    by_hand = 2944 + 73856 + 295168 + 590080 + 1048832
    assert sum(p.numel() for p in encoder.parameters()) == by_hand


@pytest.mark.parametrize(("speech", "landmarks"), INPUTS)
@pytest.mark.parametrize("image_size", [64, 96])
def test_shapes_and_ranges(speech, landmarks, image_size):
    s = replace(SMALL, speech=speech, landmarks=landmarks, image_size=image_size)
    model, example = untrained(s), clip(s, 11)
    frames = model.generator(example, 11)[0].image
    assert frames.shape == (11, 3, image_size, image_size) and frames.abs().max() <= 1
    logits, features = model.frame_discriminator(
        frames, torch.cat([x for x in (example.conditions(11), example.heatmaps) if x is not None], dim=1)
    )
    assert logits.shape == (11, 1)
    assert [f.shape[-1] for f in features] == [image_size // k for k in (2, 4, 8, 16)]
    assert [x.shape for x in model.sequence_discriminator(example.mel, frames, frames)] == [
        (2, 1),
        (2, 1),
    ]  # every 5th of 11 frames


def test_the_reference_systems_inputs_differ_as_table_1_says():
    for speech, landmarks in INPUTS:
        s = replace(SMALL, speech=speech, landmarks=landmarks)
        model, example = untrained(s), clip(s)
        frames = model.generator(example, 10)[0].image
        if speech:
            louder, _ = model.generator(example._replace(mel=example.mel.flip(0)), 10)
            assert not torch.allclose(frames, louder.image)
        if landmarks:
            other, _ = model.generator(example._replace(heatmaps=example.heatmaps.flip(0)), 10)
            assert not torch.allclose(frames, other.image)
        assert hasattr(model.generator, "speech_cnn") == speech


def test_state_handed_on_leaves_no_seam():
    model, example = Generator(SMALL).eval(), clip(SMALL, 12)
    with torch.inference_mode():
        whole, _ = model(example, 12)
        first, state = model(example._replace(mel=example.mel[:7], heatmaps=example.heatmaps[:7]), 7)
        second, _ = model(example._replace(mel=example.mel[7:], heatmaps=example.heatmaps[7:]), 5, state)
    torch.testing.assert_close(torch.cat([first.image, second.image]), whole.image, atol=1e-5, rtol=1e-5)


def test_the_future_reaches_a_frame_only_through_its_window():
    model, example = Generator(replace(SMALL, landmarks=False)).eval(), clip(replace(SMALL, landmarks=False), 10)
    changed = example.mel.clone()
    changed[6:] += 1
    with torch.inference_mode():
        before, after = (model(example._replace(mel=mel), 10)[0].image for mel in (example.mel, changed))
    torch.testing.assert_close(before[:6], after[:6])
    assert not torch.allclose(before[6], after[6])


def test_the_sequence_discriminator_sees_the_lower_half():
    model, example = untrained(SMALL).sequence_discriminator, clip(SMALL)
    above, below = example.frames.clone(), example.frames.clone()
    above[:, :, :32] = 0
    below[:, :, 32:] = 0
    judged = model(example.mel, example.frames, above, below)
    torch.testing.assert_close(judged[1], judged[0])
    torch.testing.assert_close(judged[2], *model(example.mel, below))
    assert not torch.allclose(judged[2], judged[0])


def test_the_frame_discriminator_judges_each_frame_by_itself():
    model, example = untrained(SMALL).frame_discriminator, clip(SMALL)
    conditions = torch.cat([example.conditions(10), example.heatmaps], dim=1)
    together, _ = model(example.frames, conditions)
    alone, _ = model(example.frames[3:4], conditions[3:4])
    torch.testing.assert_close(alone, together[3:4], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("absent", ["frame", "sequence", "feature_matching"])
def test_a_weight_of_nought_removes_the_term(absent):
    made, judged = terms_of(WEIGHTS | {absent: 0.0})
    assert made == set(WEIGHTS) - {absent}
    assert judged == ({"frame"} if absent == "sequence" else {"frame", "sequence"})


def test_the_frame_discriminator_learns_where_its_features_are_matched():
    """It gives the features of Eq. 1; without that term and its own nothing asks for it."""
    assert terms_of({"frame": 0.0, "sequence": 0.0, "feature_matching": 1.0}) == ({"feature_matching"}, {"frame"})
    assert terms_of({"frame": 0.0, "sequence": 1.0, "feature_matching": 0.0}) == ({"sequence"}, {"sequence"})


def test_both_terms_of_the_frame_discriminator_see_the_same_half_of_the_frames(monkeypatch):
    """Of ten frames five are judged, real and generated, once for both terms."""
    model, example = untrained(SMALL), clip(SMALL)
    fake, seen, forward = model.generate(example), [], model.frame_discriminator.forward
    monkeypatch.setattr(
        model.frame_discriminator,
        "forward",
        lambda frames, conditions: seen.append(frames) or forward(frames, conditions),
    )
    terms = model.generator_terms(example, fake)
    terms["frame"](), terms["feature_matching"]()
    real, generated = seen
    assert len(real) == len(generated) == 5
    which = [(example.frames == frame).all(dim=(1, 2, 3)).nonzero().item() for frame in real]
    assert len(set(which)) == 5 and torch.equal(generated, fake.image[which])


def test_feature_matching_trains_the_generator():
    """And pulls generated features to the real ones, not those to it."""
    model, example = untrained(SMALL), clip(SMALL)
    example = example._replace(frames=example.frames.requires_grad_())
    model.generator_terms(example, model.generate(example))["feature_matching"]().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.generator.decoder.ups.parameters())
    assert example.frames.grad is None


def test_feature_matching_is_nought_for_the_truth_itself():
    model, example = untrained(SMALL), clip(SMALL)
    matching = model.generator_terms(example, Frames(example.frames))["feature_matching"]
    assert matching().item() == pytest.approx(0, abs=1e-10)


def test_blocks_halve_and_double():
    x = torch.randn(2, 4, 9, 9)
    assert Down(4, 6, 3, 2)(x).shape == (2, 6, 5, 5)
    assert Up(4, 6, 3)(x).shape == Up(4, 6, 2)(x).shape == (2, 6, 18, 18)
    # Nearest neighbour: each pixel becomes a 2×2 block, before the convolution.
    up = Up(1, 1, 3, activation=torch.nn.Identity())
    with torch.no_grad():
        up.convolution.weight.zero_()
        up.convolution.weight[0, 0, 1, 1] = 1
        up.convolution.bias.zero_()
    y = up(torch.tensor([[[[1.0, 2.0]]]]))
    assert y.squeeze().tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]


def test_it_learns_to_copy_a_small_clip():
    """Feature matching alone brings generated frames closer to the truth."""
    s = replace(SMALL, width=0.125)
    model, example = untrained(s), clip(s, 6)
    smooth = torch.nn.functional.interpolate(torch.rand(6, 3, 4, 4), 64, mode="bilinear") * 2 - 1
    example = example._replace(frames=smooth, reference=smooth[0])
    optimizer = torch.optim.Adam(model.generator.parameters(), 1e-3)

    def error():
        with torch.no_grad():
            return (model.generator(example, 6)[0].image - smooth).abs().mean().item()

    before = error()
    for _ in range(40):
        fake, _ = model.generator(example, 6)
        optimizer.zero_grad()
        model.generator_terms(example, fake)["feature_matching"]().backward()
        optimizer.step()
    assert error() < 0.7 * before


def test_composed_frames_begin_near_the_reference_and_learn_with_all_that_draws_them():
    """A few steps reduce the loss, toward the photo as toward the truth; the map learns with the colours."""
    model, example = untrained(replace(SMALL, compose=True)), clip(SMALL)
    weights, optimizer, losses = WEIGHTS | {"change": 1.0}, torch.optim.Adam(model.generator.parameters(), 1e-3), []
    first = model.generate(example)
    assert (first.image - example.reference).abs().mean() < 0.2 * example.reference.abs().mean()
    for _ in range(6):
        terms = model.generator_terms(example, model.generate(example))
        assert terms.keys() == weights.keys()
        loss = sum(weights[name] * terms[name]() for name in ("feature_matching", "change"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(gradient.any() for gradient in model.generator.decoder.ups[-1].convolution.weight.grad)
