"""The networks against the paper's text: sizes, what each sees, what each is trained by."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from pipeline.blocks.composition import Frames
from pipeline.blocks.perceptual import VGG19
from pipeline.papers.chen_s.action_units import AUClassifier, AUClassifierSettings
from pipeline.papers.chen_s.networks import Excerpt, Generator, Settings, TalkingHead, Up, identity_loss
from pipeline.training.recipe import Phase
from pipeline.training.runner import computed, detached, serves

PAPER = Settings(image_size=112, width=1.0, audio_to_au={"width": 1.0})
SMALL = Settings(image_size=64, width=0.0625, audio_to_au={"width": 0.0625})
WEIGHTS = {"reconstruction": 1.5, "identity": 1.5, "perceptual": 0.07, "au": 0.02, "adversarial": 0.002}
# Table 2: what each row of the ablation adds to the one before it.
ROWS = ["reconstruction", "perceptual", "identity", "adversarial", "au"]


def excerpt(b: int = 2, t: int = 5, size: int = 64) -> Excerpt:
    g = torch.Generator().manual_seed(0)
    frames = torch.rand(b, t, 3, size, size, generator=g) * 2 - 1
    labels = torch.randint(2, (b, t, 5), generator=g).float()
    return Excerpt(frames[:, 0], torch.randn(b, t, 28, 12, generator=g) * 10, frames, labels)


def talking_head(s: Settings = SMALL, **weights: float) -> TalkingHead:
    torch.manual_seed(0)
    classifier = AUClassifier(AUClassifierSettings(s.image_size, 0.125))
    features = VGG19(1 / 16).requires_grad_(False)
    return TalkingHead(Generator(s), WEIGHTS | weights, features, classifier, torch.ones(5))


def layers(module: nn.Module, kind: type) -> list[nn.Module]:
    return [m for m in module.modules() if isinstance(m, kind)]


def test_layers_are_those_of_the_paper():
    """Numbers of layers and sizes of vectors of §3.1; 112 px become 7×7 and 112 again."""
    generator = Generator(PAPER)
    identity, audio, decoder = generator.identity_encoder, generator.audio_encoder, generator.decoder
    assert [c.stride for c in layers(identity, nn.Conv2d)] == [(2, 2)] * 4
    assert [(x.in_features, x.out_features) for x in layers(identity, nn.Linear)] == [(512 * 7 * 7, 512)]
    assert len(layers(audio, nn.Conv2d)) == len(layers(audio, nn.BatchNorm2d)) == 5
    assert [x.out_features for x in layers(audio, nn.Linear)] == [2048, 512]
    # f_id, f_a and five times 64 of f_au, concatenated.
    assert generator.gru.input_size == 512 + 512 + 320
    assert [x.out_features for x in layers(decoder, nn.Linear)] == [512 * 7 * 7]
    # Each Up is one transposed convolution, of two summands.
    strides = [up.of_frame.stride[0] for up in decoder.ups]
    assert [decoder.first[0].stride[0], *strides] == [1, 2, 2, 2, 2, 1]
    photo, maps = identity(torch.zeros(1, 3, 112, 112))
    assert photo.shape == (1, 512) and [m.shape[-1] for m in maps] == [112, 56, 28, 14, 7]
    assert decoder(torch.zeros(2, 512), maps).shape == (2, 3, 112, 112)


@pytest.mark.parametrize("size", [64, 96])
def test_shapes_and_ranges(size):
    s = Settings(size, 0.0625, None)
    batch = excerpt(size=size)
    frames = Generator(s)(batch.photo, batch.mfcc)[0].image
    assert frames.shape == (2, 5, 3, size, size) and frames.abs().max() <= 1
    assert talking_head(s).frame_discriminator(batch.frames.flatten(0, 1)).shape == (10, 1)


def test_the_photo_may_be_convolved_apart():
    """What `Up` adds is the transposed convolution of the concatenation."""
    up, x, photo = Up(4, 6, 5, normalise=False), torch.randn(6, 4, 8, 8), torch.randn(2, 6, 8, 8)
    whole = nn.ConvTranspose2d(10, 5, 4, 2, 1)
    with torch.no_grad():
        whole.weight.copy_(torch.cat([up.of_frame.weight, up.of_photo.weight]))
        whole.bias.copy_(up.of_frame.bias)
    expected = whole(torch.cat([x, photo.repeat_interleave(3, dim=0)], dim=1))
    torch.testing.assert_close(up(x, photo), expected, atol=1e-5, rtol=1e-5)


def test_states_handed_on_leave_no_seam():
    model, batch = Generator(SMALL).eval(), excerpt(t=12)
    with torch.inference_mode():
        whole, _ = model(batch.photo, batch.mfcc)
        first, state = model(batch.photo, batch.mfcc[:, :7])
        second, _ = model(batch.photo, batch.mfcc[:, 7:], state)
    joined = torch.cat([first.image, second.image], dim=1)
    torch.testing.assert_close(joined, whole.image, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        anew, _ = model(batch.photo, batch.mfcc[:, 7:])
    assert not torch.allclose(anew.image, second.image, atol=1e-5)


def test_photo_and_speech_drive_each_excerpt_by_themselves():
    model, batch = Generator(SMALL).eval(), excerpt()
    with torch.inference_mode():
        frames = model(batch.photo, batch.mfcc)[0].image
        alone = model(batch.photo[1:], batch.mfcc[1:])[0].image
        other_photo = model(batch.photo.flip(0), batch.mfcc)[0].image
        other_speech = model(batch.photo, batch.mfcc.flip(0))[0].image
    torch.testing.assert_close(alone[0], frames[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(other_photo, frames, atol=1e-6)
    assert not torch.allclose(other_speech, frames, atol=1e-6)


def test_the_audio_to_au_module_is_heard():
    model, batch = Generator(SMALL).eval(), excerpt()
    with torch.inference_mode():
        frames = model(batch.photo, batch.mfcc)[0].image
        for unit in model.audio_to_au.units:
            unit.features[2].bias += 1
        changed = model(batch.photo, batch.mfcc)[0].image
    assert not torch.allclose(changed, frames, atol=1e-6)


def test_identity_loss_is_of_the_upper_half():
    """Eq. 7 by hand: half a unit off above, and whatever below."""
    photo, fake = torch.zeros(2, 3, 8, 8), torch.ones(2, 4, 3, 8, 8)
    fake[..., :4, :] = -0.5
    assert identity_loss(photo, fake).item() == pytest.approx(0.5)
    assert identity_loss(torch.ones(2, 3, 8, 8), fake).item() == pytest.approx(1.5)


def test_terms_of_a_perfect_generator():
    """The truth itself: no reconstruction or perceptual loss. Frames a tenth too bright: a reconstruction loss of 0.1."""
    model, batch = talking_head(), excerpt()
    terms = model.generator_terms(batch, Frames(batch.frames))
    assert terms["reconstruction"]().item() == terms["perceptual"]().item() == 0
    brighter = model.generator_terms(batch, Frames(batch.frames + 0.1))
    assert brighter["reconstruction"]().item() == pytest.approx(0.1, rel=1e-4) and brighter["perceptual"]().item() > 0
    still = excerpt()._replace(photo=torch.zeros(2, 3, 64, 64))
    assert model.generator_terms(still, Frames(torch.zeros(2, 5, 3, 64, 64)))["identity"]().item() == 0


def test_an_undecided_discriminator_costs_log_2():
    """Eq. 4 at D = ½, halved for its two terms: log 2 for either side."""
    model, batch = talking_head(), excerpt()
    nn.init.zeros_(model.frame_discriminator[-1].weight)
    nn.init.zeros_(model.frame_discriminator[-1].bias)
    fake = Frames(torch.zeros_like(batch.frames))
    assert model.generator_terms(batch, fake)["adversarial"]().item() == pytest.approx(math.log(2))
    assert model.discriminator_terms(batch, fake)["adversarial"]().item() == pytest.approx(math.log(2))


def test_an_undecided_classifier_costs_its_closed_form():
    """p = ½ everywhere, weights 1: Eq. 1 is log 2; a unit in m of n frames has a Dice coefficient of (m + 1)/(m + n/4 + 1)."""
    model, batch = talking_head(), excerpt()
    nn.init.zeros_(model.au_classifier[-1].weight)
    nn.init.zeros_(model.au_classifier[-1].bias)
    m, n = batch.action_units.sum(dim=(0, 1)), 10
    expected = math.log(2) + (1 - (m + 1) / (m + n / 4 + 1)).mean().item()
    fake = Frames(torch.zeros_like(batch.frames))
    for terms in (model.generator_terms(batch, fake), model.discriminator_terms(batch, fake)):
        assert terms["au"]().item() == pytest.approx(expected, rel=1e-4)


def test_the_au_loss_moves_the_lower_half_of_labelled_frames():
    model, batch = talking_head(), excerpt()
    batch.action_units[1, 3] = torch.nan
    image = torch.zeros_like(batch.frames).requires_grad_()
    model.generator_terms(batch, Frames(image))["au"]().backward()
    moved = image.grad.abs().sum(dim=(2, 4))  # (B, T, S): per row of the image
    assert moved[..., :32].sum() == 0 and moved[1, 3].sum() == 0
    assert (moved[0, :, 32:].sum(dim=-1) > 0).all()


@pytest.mark.parametrize("row", range(len(ROWS)))
def test_rows_of_table_2_have_their_terms_and_no_network_besides(row):
    weights = {name: WEIGHTS[name] if name in ROWS[: row + 1] else 0.0 for name in WEIGHTS}
    model, batch, phase = talking_head(**weights), excerpt(), Phase(1, weights, {})
    fake = model.generate(batch)
    assert set(computed(model.generator_terms(batch, fake), weights.get)) == set(ROWS[: row + 1])
    judged = computed(model.discriminator_terms(batch, detached(fake)), partial(serves, model, phase))
    assert set(judged) == {"au", "adversarial"} & set(ROWS[: row + 1])
    networks = {"perceptual": "vgg19", "au": "au_classifier", "adversarial": "frame_discriminator"}
    needed = {network for name, network in networks.items() if weights[name]}
    assert {name for name, _ in model.named_children()} == {"generator", *needed}


def test_a_system_without_the_audio_to_au_module():
    """The fifth row of Table 2: all losses, and no features of action units."""
    generator, batch = Generator(Settings(64, 0.0625, None)), excerpt()
    assert not hasattr(generator, "audio_to_au") and generator.gru.input_size == 2 * 32
    frames, (au_state, _) = generator(batch.photo, batch.mfcc)
    assert frames.image.shape == batch.frames.shape and au_state is None


def test_every_part_of_the_generator_learns_from_the_whole_loss():
    """But for the last layers of the Audio-to-AU module, which the paper removes."""
    model, batch = talking_head(), excerpt()
    terms = model.generator_terms(batch, model.generate(batch))
    sum(WEIGHTS[name] * term() for name, term in terms.items()).backward()
    idle = {name for name, p in model.generator.named_parameters() if p.grad is None or not p.grad.any()}
    assert len(idle) == 2 * 5 and all(".occurrence." in name for name in idle)


def test_it_learns_what_each_sound_looks_like():
    """Closer to frames that differ than their mean is, which says nothing of the speech."""
    model = talking_head(Settings(64, 0.125, None), perceptual=0.0, au=0.0, adversarial=0.0)
    smooth = nn.functional.interpolate(torch.rand(6, 3, 4, 4), 64, mode="bilinear")[None] * 2 - 1
    batch = excerpt(1, 6)._replace(frames=smooth, photo=smooth[:, 0])
    optimizer = torch.optim.Adam(model.generator.parameters(), 1e-3)
    for _ in range(90):
        loss = model.generator_terms(batch, model.generate(batch))["reconstruction"]()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.7 * (smooth - smooth.mean(dim=1)).abs().mean()


@pytest.fixture
def composing():
    return talking_head(replace(SMALL, compose=True), change=0.1)


def test_composed_frames_begin_near_the_photo_and_learn(composing):
    """Untrained, they differ from it by less than what is redrawn does. A few steps reduce the whole loss."""
    batch = excerpt()
    with torch.no_grad():
        near, redrawn = (m.generator(batch.photo, batch.mfcc)[0] for m in (composing, talking_head()))
    far, distance = ((frames.image - batch.photo[:, None]).abs().mean() for frames in (redrawn, near))
    assert distance < 0.2 * far and near.change.mean() < 0.2
    losses, optimizer = [], torch.optim.Adam(composing.generator.parameters(), 1e-3)
    for _ in range(6):
        terms = composing.generator_terms(batch, composing.generate(batch))
        assert terms.keys() == {*WEIGHTS, "change"}
        loss = sum(
            (WEIGHTS | {"change": 0.1})[name] * terms[name]() for name in ("reconstruction", "identity", "change")
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and composing.generator.decoder.ups[-1].of_frame.weight.grad[:, 3].any()


def test_settings_from_before_there_was_composition_redraw():
    """As the cards of systems trained then have them: the weights fit."""
    old = {"image_size": 64, "width": 0.0625, "audio_to_au": None}
    assert Generator(Settings(**old)).decoder.ups[-1].of_frame.out_channels == 3
