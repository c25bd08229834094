"""The networks and losses against the thesis's text: sizes, what each sees, what each is trained by."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.blocks.composition import Frames
from pipeline.blocks.perceptual import VGG19
from pipeline.corpus.layouts import EMOTIONS
from pipeline.papers.maity.networks import (
    FRAME_SAMPLES,
    NOISE_SIZE,
    WINDOW,
    ConvLSTM,
    EmotionalTalkingFace,
    Excerpt,
    FrameDiscriminator,
    Generator,
    ImageEncoder,
    Settings,
    gradient_penalty,
    heard_samples,
    mouth_mask,
    mouth_region_loss,
)
from pipeline.training.recipe import Phase
from pipeline.training.runner import computed, serves

PAPER, SMALL = Settings(64, 1.0), Settings(64, 0.0625)
WEIGHTS = {"mouth": 100.0, "perceptual": 1.0, "frame": 0.01, "pair": 0.01, "emotion": 0.001}
ALL = ("frame_discriminator", "pair_discriminator", "emotion_discriminator")


def excerpt(n: int = 5, clips: int = 2, size: int = 64) -> Excerpt:
    g = torch.Generator().manual_seed(0)

    def values(*shape):
        return torch.rand(*shape, generator=g) * 2 - 1

    return Excerpt(
        photo=values(clips, 3, size, size),
        waveform=values(clips, FRAME_SAMPLES * (n - 1) + WINDOW),
        emotion=torch.arange(clips) % len(EMOTIONS),
        noise=torch.randn(clips, n, NOISE_SIZE, generator=g),
        frames=values(clips, n, 3, size, size),
        mask=mouth_mask(torch.full((clips, n, 2), 40.0), size),
    )


def talking_face(s: Settings = SMALL, **weights: float) -> EmotionalTalkingFace:
    torch.manual_seed(0)
    return EmotionalTalkingFace(s, WEIGHTS | weights, VGG19(0.0625).eval().requires_grad_(False))


def generated(model: EmotionalTalkingFace, e: Excerpt) -> Frames:
    with torch.no_grad():
        return model.eval().generate(e)


def layers(module: nn.Module, kind: type) -> list[tuple[int, int, int]]:
    return [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in module.modules() if isinstance(c, kind)]


def test_layers_are_those_of_the_thesis():
    """(filters, kernel, stride) of §4.1.1, §4.1.2, §4.1.6 and §4.1.8, units of §4.1.3 and §4.1.7."""
    model, down = talking_face(PAPER), [(64, 3, 2), (128, 3, 2), (256, 3, 2), (512, 3, 2), (512, 3, 2)]
    speech = [(64, 63, 4), (128, 31, 4), (256, 17, 2), (512, 9, 2), (16, 1, 1)]
    generator, pair = model.generator, model.pair_discriminator
    for encoder in (generator.speech_encoder, pair.speech_encoder):
        assert layers(encoder, nn.Conv1d) == speech and encoder.lstm.num_layers == 2
    assert layers(generator.image_encoder, nn.Conv2d) == [*down, (512, 2, 1)]
    assert layers(ImageEncoder(Settings(128, 1.0)), nn.Conv2d)[-1] == (512, 4, 1)
    assert layers(model.frame_discriminator, nn.Conv2d) == layers(model.emotion_discriminator, nn.Conv2d) == down
    assert [m.hidden_size for m in (pair.image_lstm, pair.speech_lstm, pair.lstm)] == [512, 512, 1024]
    assert all(m.bidirectional for m in (pair.image_lstm, pair.speech_lstm, pair.lstm))
    assert generator.noise_lstm.hidden_size == 128 and model.emotion_discriminator.last.out_features == 7
    decoder = generator.decoder
    filters = [x.out_channels for x in (decoder.first, decoder.second, decoder.third, decoder.fifth)]
    assert filters == [512, 256, 128, 32] and decoder.fourth.recurrent.in_channels == 64


@pytest.mark.parametrize("size", [64, 96])
def test_shapes_and_ranges(size):
    model, e = talking_face(Settings(size, 0.0625)), excerpt(size=size)
    frames = generated(model, e).image
    assert frames.shape == (2, 5, 3, size, size) and frames.abs().max() <= 1
    assert model.frame_discriminator(frames[0], e.frames[1]).shape == (5,)
    assert [x.shape for x in model.pair_discriminator(e.photo, e.mask, e.waveform, frames, e.frames)] == [(2,), (2,)]
    assert model.emotion_discriminator(frames).shape == (2, 7)


def test_a_stride_keeps_what_nearest_neighbour_interpolation_keeps():
    """§4.1.2: a convolution whose output is interpolated to half its size, nearest neighbours."""
    layer = ImageEncoder(SMALL).layers[0]
    photo = excerpt().photo
    whole = F.conv2d(photo, layer[0].weight, layer[0].bias, padding=1)
    halved = F.interpolate(F.leaky_relu(whole, 0.2), scale_factor=0.5, mode="nearest")
    torch.testing.assert_close(layer(photo), halved)


def test_the_convolutional_lstm_is_an_lstm_where_all_pixels_are_alike():
    """Against torch's LSTM cell: of kernels of 3×3 only the centres are not nought."""
    torch.manual_seed(0)
    ours, cell = ConvLSTM(3, 2, 4), nn.LSTMCell(5, 4)
    with torch.no_grad():
        for (start, stop), torchs in zip(((0, 4), (4, 8), (8, 12), (12, 16)), (0, 1, 3, 2), strict=True):
            rows = slice(4 * torchs, 4 * torchs + 4)  # torch orders input, forget, cell, output
            cell.weight_ih[rows] = ours.input.weight[start:stop, :, 1, 1]
            cell.bias_ih[rows] = ours.input.bias[start:stop]
            cell.weight_hh[rows] = ours.recurrent.weight[start:stop, :, 1, 1]
        cell.bias_hh.zero_()
        for layer in (ours.input, ours.recurrent):
            centre = layer.weight[..., 1, 1].clone()
            layer.weight.zero_()[..., 1, 1] = centre
        x, skip, state = torch.randn(4, 3, 1, 1), torch.randn(1, 2, 1, 1), None
        found, _ = ours(x, skip.expand(-1, -1, 2, 2))
        for step, made in zip(x, found, strict=True):
            state = cell(torch.cat([step, skip[0]]).view(1, 5), state)
            torch.testing.assert_close(made, state[0][0, :, None, None].expand(4, 2, 2))


def test_a_frame_hears_359_ms_about_its_middle():
    samples = heard_samples(10, 11)
    assert samples.stop - samples.start == WINDOW == 2871  # at 8 kHz: 358.9 ms
    assert (samples.start + samples.stop - 1) / 2 == 10 * 320 + 160
    assert heard_samples(10, 13) == slice(samples.start, samples.stop + 640)


def test_a_sound_reaches_the_frames_that_hear_it_and_those_after_them():
    """One changed sample, at the last end of frame 2's window: frames 0 and 1 cannot know of it."""
    model, e = Generator(SMALL).eval(), excerpt(5, 1)
    changed = e.waveform.clone()
    changed[:, 2 * FRAME_SAMPLES + WINDOW - 1] += 10
    with torch.inference_mode():
        before, after = (model(e.photo, x, e.emotion, e.noise)[0].image for x in (e.waveform, changed))
    torch.testing.assert_close(before[:, :2], after[:, :2])
    assert not torch.equal(before[:, 2], after[:, 2])


def test_state_handed_on_leaves_no_seam():
    model, e, cut = Generator(SMALL).eval(), excerpt(7), 3
    with torch.inference_mode():
        whole, _ = model(e.photo, e.waveform, e.emotion, e.noise)
        ends = FRAME_SAMPLES * (cut - 1) + WINDOW
        first, state = model(e.photo, e.waveform[:, :ends], e.emotion, e.noise[:, :cut])
        second, _ = model(e.photo, e.waveform[:, FRAME_SAMPLES * cut :], e.emotion, e.noise[:, cut:], state)
    torch.testing.assert_close(torch.cat([first.image, second.image], dim=1), whole.image, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changed", ["photo", "emotion", "noise", "waveform"])
def test_every_input_changes_the_frames(changed):
    model, e = talking_face(), excerpt(clips=2)
    assert not torch.allclose(
        generated(model, e).image, generated(model, e._replace(**{changed: getattr(e, changed).flip(0)})).image
    )


def test_the_mask_is_1_at_the_mouth_and_falls_to_a_hundredth():
    """σ is 9/128 of the width: 4.5 px at 64; at that distance it is exp(−½), plus the floor."""
    mask = mouth_mask(torch.tensor([[20.0, 40.0], [-100.0, -100.0]]), 64)
    assert mask.shape == (2, 1, 64, 64)
    assert mask[0, 0, 40, 20].item() == pytest.approx(1.01)
    assert mouth_mask(torch.tensor([20.0, 35.5]), 64)[0, 40, 20].item() == pytest.approx(math.exp(-0.5) + 0.01)
    assert mask[1].max().item() == pytest.approx(0.01)


def test_the_mouths_loss_is_the_mean_of_weighed_errors():
    """An error of ½ in a quarter of the pixels, whose mask is 0.8: 0.1."""
    real, fake, mask = torch.zeros(1, 1, 3, 4, 4), torch.zeros(1, 1, 3, 4, 4), torch.full((1, 1, 1, 4, 4), 7.0)
    fake[..., :2, :2] = -0.5
    mask[..., :2, :2] = 0.8
    assert mouth_region_loss(real, fake, mask).item() == pytest.approx(0.1)


class Slope(nn.Module):
    """A critic D(x) = slope · Σx / √n, whose gradient has the norm `slope` everywhere; and its gradient."""

    def __init__(self, slope: float):
        super().__init__()
        self.slope = slope

    def forward(self, frames, photos, gradient=False):
        each = self.slope / math.sqrt(frames[0].numel())
        return torch.full_like(frames, each) if gradient else each * frames.sum(dim=(1, 2, 3))


@pytest.mark.parametrize(("slope", "penalty"), [(1.0, 0.0), (3.0, 4.0), (0.5, 0.25)])
def test_the_gradient_penalty_of_a_known_slope(slope, penalty):
    real, fake = torch.randn(2, 4, 3, 8, 8).unbind()
    assert gradient_penalty(Slope(slope), real, fake, real).item() == pytest.approx(penalty, abs=1e-5)


def test_the_critics_gradient_is_that_of_its_scores():
    """Against the difference of scores of frames moved along it, in double precision; and the penalty trains the critic."""
    torch.manual_seed(0)
    critic = FrameDiscriminator(SMALL)
    frames, photos = torch.rand(2, 3, 3, 64, 64).mul(2).sub(1).unbind()
    slope = critic(frames, photos, gradient=True)
    step = 1e-3 * slope / slope.flatten(1).norm(dim=1)[:, None, None, None]
    change = critic(frames + step, photos) - critic(frames - step, photos)
    torch.testing.assert_close(change / 2e-3, slope.flatten(1).norm(dim=1), atol=1e-3, rtol=2e-2)
    gradient_penalty(critic, frames, frames.flip(0), photos).backward()
    assert sum(p.grad.abs().sum() for p in critic.parameters() if p.grad is not None) > 0


def test_the_critic_computes_in_fp32_under_autocast():
    critic = FrameDiscriminator(SMALL)
    frames, photos = torch.rand(2, 3, 3, 64, 64).unbind()
    expected = critic(frames, photos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(critic(frames, photos), expected)
        assert critic(frames, photos, gradient=True).dtype == torch.float32


def test_the_pair_discriminator_sees_the_mouth_and_hears_the_speech():
    """Beyond the mask's reach frames may differ; inside they may not, nor may the speech."""
    judge, e = talking_face().pair_discriminator.eval(), excerpt()
    mask = mouth_mask(torch.full((2, 5, 2), 40.0), 64) - 0.01
    with torch.inference_mode():
        known = torch.cat(judge(e.photo, mask, e.waveform, e.frames))
        above, below = e.frames.clone(), e.frames.clone()
        above[..., :8, :] = 1
        below[..., 36:44, 36:44] *= -1
        together = judge(e.photo, mask, e.waveform, above, below)
        torch.testing.assert_close(together[0], known, atol=1e-6, rtol=0)
        torch.testing.assert_close(together[1], *judge(e.photo, mask, e.waveform, below), atol=1e-6, rtol=0)
        for changed in (
            (below, e.photo, e.waveform),
            (e.frames, -e.photo, e.waveform),
            (e.frames, e.photo, e.waveform.flip(1)),
        ):
            frames, photo, waveform = changed
            assert not torch.allclose(*judge(photo, mask, waveform, frames), known, atol=1e-6)


def test_undecided_judges():
    """Losses of judges that know nothing: log 2 of the pairs, log 7 of the emotions, and a critic without slope."""
    model, e = talking_face(), excerpt()
    for name in ALL:
        last = [m for m in getattr(model, name).modules() if isinstance(m, nn.Linear)][-1]
        nn.init.zeros_(last.weight), nn.init.zeros_(last.bias)
    fake = generated(model, e)
    judged, made = model.discriminator_terms(e, fake), model.generator_terms(e, fake)
    expected = {"frame": 0, "gradient_penalty": 10, "pair": math.log(2), "emotion": math.log(7)}
    assert {name: term().item() for name, term in judged.items()} == pytest.approx(expected, abs=1e-5)
    assert made["frame"]().item() == 0
    assert [made[k]().item() for k in ("pair", "emotion")] == pytest.approx([math.log(2), math.log(7)], abs=1e-5)


def test_the_truth_itself_has_no_error():
    e = excerpt()
    terms = talking_face().generator_terms(e, Frames(e.frames))
    assert terms["mouth"]().item() == terms["perceptual"]().item() == 0


@pytest.mark.parametrize("absent", WEIGHTS)
def test_a_weight_of_nought_removes_the_term_and_its_network(absent):
    """Of the critic's two terms both."""
    model, e, phase = talking_face(**{absent: 0.0}), excerpt(), Phase(1, WEIGHTS | {absent: 0.0}, {})
    fake = generated(model, e)
    assert set(computed(model.generator_terms(e, fake), phase.weights.get)) == set(WEIGHTS) - {absent}
    judged = computed(model.discriminator_terms(e, fake), partial(serves, model, phase))
    of_term = {"frame": "frame", "gradient_penalty": "frame", "pair": "pair", "emotion": "emotion"}
    assert set(judged) == {term for term, served in of_term.items() if served != absent}
    networks = {"perceptual": "vgg19"} | {name: f"{name}_discriminator" for name in ("frame", "pair", "emotion")}
    needed = {network for name, network in networks.items() if name != absent}
    assert {name for name, _ in model.named_children()} == {"generator", *needed}


def test_the_label_alone_can_be_learnt():
    """Two excerpts that differ in their label only, and are to look different: the generator tells them apart."""
    model, one = talking_face(Settings(64, 0.125), perceptual=0, frame=0, pair=0, emotion=0), excerpt(3, 1)
    e = Excerpt(*(x.repeat_interleave(2, dim=0) for x in one))
    e = e._replace(
        emotion=torch.tensor([0, 3]), frames=torch.tensor([-0.5, 0.5])[:, None, None, None, None].expand_as(e.frames)
    )
    optimizer = torch.optim.Adam(model.generator.parameters(), 3e-3)
    for _ in range(40):
        loss = model.generator_terms(e, model.generate(e))["mouth"]()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fake = generated(model, e).image[..., 36:44, 36:44]
    assert fake[0].mean() < -0.3 and fake[1].mean() > 0.3


def test_composed_frames_begin_near_the_photo_and_learn_with_all_that_draws_them():
    """A few steps reduce the loss, toward the photo as toward the truth; the map learns with the colours."""
    model, e = talking_face(Settings(64, 0.0625, compose=True)), excerpt()
    weights, optimizer, losses = WEIGHTS | {"change": 1.0}, torch.optim.Adam(model.generator.parameters(), 1e-3), []
    assert (generated(model, e).image - e.photo[:, None]).abs().mean() < 0.2 * e.photo.abs().mean()
    for _ in range(6):
        terms = model.generator_terms(e, model.generate(e))
        assert terms.keys() == weights.keys()
        loss = sum(weights[name] * terms[name]() for name in ("mouth", "change"))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(gradient.any() for gradient in model.generator.decoder.last.weight.grad)
