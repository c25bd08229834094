"""The texture networks and their losses against the paper's text and equations (Sinha 2020, §III-C, §IV)."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.blocks.images import heatmaps_to_tensor, images_to_tensor
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import LEFT_EYE, MOUTH
from pipeline.papers.sinha.inference import TextureInUse
from pipeline.papers.sinha.texture_net import (
    Frames,
    LandmarkToTexture,
    Settings,
    TextureGenerator,
    Video,
    attention_loss,
    pixel_loss,
    pixel_mask,
    texture_temporal_loss,
)
from pipeline.photo import face_of
from pipeline.systems.system import load_system
from pipeline.training.trained import build, read_card

SHIPPED = Path(__file__).parents[3] / "pretrained" / "sinha"
SMALL = Settings(width=0.0625, sigma=1.0)


def video(n=3, size=64) -> Video:
    g = torch.Generator().manual_seed(0)
    frames = torch.rand(n, 3, size, size, generator=g) * 2 - 1
    landmarks = torch.rand(n, 1, size, size, generator=g)
    return Video(frames[0], landmarks[0], landmarks, frames)


def texture() -> LandmarkToTexture:
    torch.manual_seed(0)
    return LandmarkToTexture(SMALL, torch.ones(64, 64))


def layers(network, kind):
    found = [m for m in network.modules() if isinstance(m, kind)]
    return [(c.out_channels, c.kernel_size[0], c.stride[0]) for c in found]


def test_texture_layers_are_those_of_the_paper_and_its_models():
    model = LandmarkToTexture(Settings(width=1.0, sigma=1.0), torch.ones(64, 64))
    coder = model.generator.encoder_decoder
    assert layers(coder, torch.nn.Conv2d) == [(64, 7, 1), (128, 4, 2), (256, 4, 2), *[(256, 3, 1)] * 12]
    assert layers(coder, torch.nn.ConvTranspose2d) == [(128, 4, 2), (64, 4, 2)]
    assert layers(model.generator.colour, torch.nn.Conv2d) + layers(model.generator.change, torch.nn.Conv2d) == [
        *[(3, 7, 1), (1, 7, 1)]
    ]
    assert layers(model.discriminator, torch.nn.Conv2d) == [
        *[(64, 4, 2), (128, 4, 2), (256, 4, 2), (512, 4, 1), (1, 4, 1)]
    ]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.InstanceNorm2d)]
    assert all(m.affine for m in norms) and not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())


def test_a_patch_is_70_pixels_wide():
    """By the gradient of one score: PatchGAN's 70 × 70 (instance normalisation, which sees all, left out)."""
    judge = texture().discriminator
    convolutions = torch.nn.Sequential(*(m for m in judge if not isinstance(m, torch.nn.InstanceNorm2d)))
    image = torch.randn(1, 3, 128, 128, requires_grad=True)
    scores = convolutions(image)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    rows, columns = (image.grad.abs().sum(dim=(0, 1)).sum(dim=k).nonzero() for k in (1, 0))
    assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == 70


@pytest.mark.parametrize("size", [64, 96])
def test_frames_are_between_photo_and_colour(size):
    """Eq. 6, each pixel, with 1 − att = change."""
    example = video(size=size)
    frames = texture().generate(example)
    assert frames.image.shape == (3, 3, size, size) and frames.change.shape == (3, 1, size, size)
    assert frames.colour.abs().max() <= 1 and frames.change.min() >= 0 and frames.change.max() <= 1
    att = 1 - frames.change
    torch.testing.assert_close(frames.image, (1 - att) * frames.colour + att * example.photo)


def test_where_nothing_changes_the_photo_stays():
    model, example = texture(), video()
    with torch.no_grad():
        model.generator.change[0].weight.zero_()
        model.generator.encoder_decoder[-1][1].bias.fill_(1.0)
        model.generator.change[0].weight[0, 0, 3, 3] = -1e6
        model.generator.encoder_decoder[-1][1].weight.zero_()
        frames = model.generate(example)
    torch.testing.assert_close(frames.image, example.photo.expand_as(frames.image))


def test_landmarks_as_the_photos_make_no_difference_to_the_image_encoder():
    """The encoded landmarks enter as their difference: where they are the photo's own, whatever they are, it is nought."""
    model, example = texture().generator, video()
    one, other = (model(example.photo, marks, marks[None]) for marks in (example.landmarks[1], example.landmarks[2]))
    torch.testing.assert_close(one.image, other.image)
    moved = model(example.photo, example.landmarks[1], example.landmarks[2:])
    assert not torch.allclose(one.image, moved.image, atol=1e-4)


def test_each_frame_stands_for_itself():
    model, example = texture(), video()
    whole = model.generate(example).image
    torch.testing.assert_close(
        model.generate(example._replace(landmarks=example.landmarks[1:2])).image, whole[1:2], atol=1e-5, rtol=1e-5
    )


def test_the_mask_weighs_mouth_and_eyes():
    """5 on the landmarks, and exp(−½) of the way up from 1 at σ, a fifth of the eyes' distance."""
    template = np.full((68, 2), 10.0)
    template[LEFT_EYE, 0] += 20  # so that σ is 4 px
    template[MOUTH] = [20, 50]
    mask = pixel_mask(template, 64)
    assert mask.shape == (64, 64) and mask[63, 63] == 1 and mask[10, 20] < 5
    assert mask[10, 10] == mask[10, 30] == mask[50, 20] == 5
    assert mask[54, 20].item() == mask[50, 16].item() == pytest.approx(1 + 4 * np.exp(-0.5), abs=0.01)
    template[:36] += 30  # jaw, brows and nose do not count
    assert torch.equal(pixel_mask(template, 64), mask)


def test_texture_losses_by_hand():
    frames = torch.zeros(2, 3, 4, 4)
    mask = torch.ones(4, 4)
    mask[0, 0] = 5.0
    off = frames.clone()
    off[0, :, 0, 0] = 0.5  # 5 · ½ in one of 32 pixels
    assert pixel_loss(frames, off, mask).item() == pytest.approx(2.5 / 32)
    # Half everywhere in the first frame and one everywhere in the second: (½ + 1)/2, and ½ between them.
    change = torch.stack([torch.full((1, 4, 4), 0.5), torch.ones(1, 4, 4)])
    assert attention_loss(change).item() == pytest.approx(0.75)
    # Of 48 colour values, 12 change by 2: √(12 · 4 / 48) = 1; both means are over two frames.
    colour = frames.clone()
    colour[1, :, 0] = 2
    assert texture_temporal_loss(Frames(frames, colour, change)).item() == pytest.approx((0.5 + 1) / 2)


def test_the_terms_by_hand():
    """Of 64 rows the mask weighs one five times as much; all pixels are off by 0.1; a quarter of each is drawn anew."""
    torch.manual_seed(0)
    mask = torch.ones(64, 64)
    mask[0] = 5.0
    model, example = LandmarkToTexture(SMALL, mask), video()
    fake = Frames(example.frames + 0.1, torch.zeros(3, 3, 64, 64), torch.full((3, 1, 64, 64), 0.25))
    terms = model.generator_terms(example, fake)
    assert terms["pixel"]().item() == pytest.approx(0.1 * (63 + 5) / 64, rel=1e-4)
    assert terms["regularisation"]().item() == pytest.approx(0.25)
    # The lower half's mean absolute error.
    assert model.validation_error(example, fake).item() == pytest.approx(0.1, rel=1e-4)


def test_the_discriminator_sees_frames_and_fakes():
    """Eq. 8: ½ (D(real) − 1)² + ½ D(fake)², means over patches and frames; Eq. 9 of the fakes alone: ½ (D(fake) − 1)²."""
    model, example = texture(), video()
    fake = model.generate(example)
    real, drawn = (model.discriminator(frames) for frames in (example.frames, fake.image))
    expected = ((real - 1).square().mean() + drawn.square().mean()) / 2
    torch.testing.assert_close(model.discriminator_terms(example, fake)["adversarial"](), expected)
    torch.testing.assert_close(model.generator_terms(example, fake)["adversarial"](), (drawn - 1).square().mean() / 2)


def test_frames_that_do_not_change_have_finite_gradients():
    """A norm has no derivative at 0."""
    change = torch.zeros(2, 1, 4, 4, requires_grad=True)
    (attention_loss(change) + texture_temporal_loss(Frames(change, change, change))).backward()
    assert change.grad.abs().sum() == 0


def test_an_undecided_discriminator():
    """A last layer of weight 0 and bias ½ judges ½ everywhere (Eqs. 8, 9)."""
    model, example = texture(), video()
    torch.nn.init.zeros_(model.discriminator[-1].weight)
    torch.nn.init.constant_(model.discriminator[-1].bias, 0.5)
    fake = model.generate(example)
    assert model.discriminator_terms(example, fake)["adversarial"]().item() == pytest.approx(1 / 4)
    assert model.generator_terms(example, fake)["adversarial"]().item() == pytest.approx(1 / 8)


def test_regularisation_alone_turns_to_the_photo():
    model, example = texture(), video()
    optimizer = torch.optim.Adam(model.generator.parameters(), 2e-3)
    before = model.generate(example).change.mean().item()
    for _ in range(20):
        loss = model.generator_terms(example, model.generate(example))["regularisation"]()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert model.generate(example).change.mean().item() < 0.5 * before


def test_in_use_what_ships_draws_the_same_to_within_two_grey_levels(portrait):
    """In bfloat16, where the machine has it; and both heads as one convolution of blocks of pixels. A mouth that opens."""
    card = read_card(SHIPPED)["networks"]["landmark_to_texture"]
    plain = build(SHIPPED / "landmark_to_texture.safetensors", card["settings"], TextureGenerator, Settings)
    face = face_of(load_system(SHIPPED), portrait, "portrait.png")
    moved = np.repeat(face.landmarks[None], 4, axis=0)
    moved[:, [*range(5, 12), *range(55, 60), *range(65, 68)], 1] += 2 * np.arange(4)[:, None]
    heatmaps = heatmaps_to_tensor(
        landmark_heatmaps(np.concatenate([face.landmarks[None], moved]), 128, card["settings"]["sigma"])
    )
    given = images_to_tensor(face.crop[None])[0], heatmaps[0], heatmaps[1:]
    with torch.inference_mode():
        wanted, used = plain(*given), TextureInUse(plain)(*given)
    assert (wanted.image[3] - wanted.image[0]).abs().max() > 0.2
    difference = 127.5 * (wanted.image - used.image).abs()
    assert difference.max() < 2 and difference.mean() < 0.1
    assert 255 * (wanted.change - used.change).abs().max() < 4
