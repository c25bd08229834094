"""VG-net, its fast copy and its losses: published sizes, equations by hand, no seam between pieces."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from pipeline.papers.atvgnet.inference import Winograd, for_inference
from pipeline.papers.atvgnet.vg_net import (
    ConvGRU,
    Discriminator,
    Frames,
    LandmarkToTexture,
    Settings,
    VGNet,
    Video,
    about_centre,
    dynamic_pixel_loss,
    landmark_regression,
)
from pipeline.training.recipe import Phase
from pipeline.training.runner import computed, serves

PAPER = Settings(image_size=128, width=1.0)
SMALL = Settings(image_size=64, width=1 / 16)
WEIGHTS = {"pixel": 10.0, "sequence": 1.0, "landmark": 1.0}


def excerpts(size=64, n=2, t=3) -> Video:
    g = torch.Generator().manual_seed(0)

    def values(*shape):
        return torch.rand(*shape, generator=g) * 2 - 1

    return Video(values(n, 3, size, size), values(n, 68, 2), values(n, t, 68, 2), values(n, t, 3, size, size))


def trained_for_a_step(network: VGNet, batch: Video) -> VGNet:
    """With running statistics that are not the initial ones."""
    with torch.no_grad():
        for _ in range(5):
            network.train()(batch.photo, batch.photo_landmarks, batch.landmarks)
    return network.eval()


@pytest.fixture
def vgnet() -> VGNet:
    torch.manual_seed(0)
    return trained_for_a_step(VGNet(SMALL), excerpts())


def test_the_number_of_parameters_is_the_published_one():
    with torch.device("meta"):
        assert sum(p.numel() for p in VGNet(PAPER).parameters()) / 1e6 == pytest.approx(58.4, abs=0.05)


def test_the_discriminators_layers_are_the_published_ones():
    with torch.device("meta"):
        network = Discriminator(PAPER)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.out_channels, m.kernel_size[0], m.stride[0]) for m in layers] == [(n, 3, 2) for n in (64, 128, 256, 512)]
    assert isinstance(network.frame_encoder[1], torch.nn.ReLU)  # no normalisation after the first
    assert (network.lstm.input_size, network.lstm.hidden_size, network.lstm.num_layers) == (1024, 256, 3)


def test_initial_weights_are_drawn_as_published():
    torch.manual_seed(0)
    network = VGNet(SMALL)
    weights = network.deep_encoder[3].weight
    assert weights.std().item() == pytest.approx(0.02 * 4, rel=0.1)  # 1/√width = 4
    scales = torch.cat([m.weight for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.01) and scales.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("size", [64, 96, 128])
def test_frames_at_other_sizes(size):
    network = VGNet(Settings(size, 1 / 16))
    batch = excerpts(size)
    frames, state = network(batch.photo, batch.photo_landmarks, batch.landmarks)
    assert frames.image.shape == frames.colour.shape == (2, 3, 3, size, size)
    assert frames.change.shape == (2, 3, 1, size, size)
    assert state.middle.shape[-1] == size // 4 and state.deep.shape[-1] == state.hidden.shape[-1] == size // 16
    score, faces = Discriminator(Settings(size, 1 / 16))(frames.image, batch.photo_landmarks)
    assert score.shape == (2, 1) and faces.shape == (2, 3, 68, 2)


def test_a_face_fits_into_the_landmark_map_at_every_size():
    for size in (64, 128, 256):
        network = VGNet(Settings(size, 1 / 16))
        assert network.landmark_map[0].out_features >= 64


@pytest.mark.parametrize(("logit", "of"), [(40.0, "colour"), (-40.0, "photo")])
def test_frames_are_a_blend_of_colour_and_photo(vgnet, logit, of):
    with torch.no_grad():
        vgnet.heads.bias[3] = logit
    batch = excerpts()
    frames, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks)
    expected = frames.colour if of == "colour" else batch.photo[:, None].expand_as(frames.image)
    torch.testing.assert_close(frames.image, expected, atol=1e-5, rtol=0)


def test_video_goes_on_without_a_seam(vgnet):
    batch = excerpts(t=5)
    whole, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks)
    first, state = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks[:, :2])
    second, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks[:, 2:], state)
    torch.testing.assert_close(torch.cat([first.image, second.image], dim=1), whole.image)
    again, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks[:, 2:])
    assert not torch.allclose(again.image, second.image)


def test_excerpts_of_a_batch_do_not_touch_one_another(vgnet):
    batch = excerpts()
    together, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks)
    alone, _ = vgnet(batch.photo[1:], batch.photo_landmarks[1:], batch.landmarks[1:])
    torch.testing.assert_close(together.image[1:], alone.image)


def test_the_fast_copy_generates_the_same_frames(vgnet):
    batch = excerpts()
    plain, _ = vgnet(batch.photo, batch.photo_landmarks, batch.landmarks)
    fast, state = for_inference(vgnet)(batch.photo, batch.photo_landmarks, batch.landmarks)
    assert (plain.image - fast.image).abs().max() < 4 / 127.5
    assert plain.image.std() > 0.1 and not state.hidden.requires_grad
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in vgnet.modules())  # the original is left as it was


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 8), (6, 10)])
def test_winograds_convolution_is_the_same(height, width):
    torch.manual_seed(0)
    convolution, x = torch.nn.Conv2d(5, 3, 3, padding=1), torch.randn(2, 5, height, width)
    with torch.no_grad():
        torch.testing.assert_close(Winograd(convolution)(x), convolution(x), atol=1e-5, rtol=1e-4)


def test_the_recurrent_cell_is_a_gru():
    """On a 1×1 map only the kernel's centre counts: PyTorch's GRUCell with those weights."""
    torch.manual_seed(0)
    ours, cell = ConvGRU(3, 4), torch.nn.GRUCell(3, 4)
    with torch.no_grad():
        for convolution, weight, bias in (
            (ours.input, cell.weight_ih, cell.bias_ih),
            (ours.recurrent, cell.weight_hh, cell.bias_hh),
        ):
            weight.copy_(convolution.weight[:, :, 1, 1])
            bias.copy_(convolution.bias)
    x, h = torch.randn(2, 5, 3), torch.randn(2, 4)
    outputs, last = ours(x[..., None, None], h[..., None, None])
    for t in range(5):
        h = cell(x[:, t], h)
        torch.testing.assert_close(outputs[:, t, :, 0, 0], h)
    torch.testing.assert_close(last[..., 0, 0], h)


# Losses


def test_dynamic_pixel_loss_by_hand():
    """|error| 2 where α = 1, 1 where α = 0: (2 · 1.5 + 1 · 0.5) / 2 = 1.75; no gradient reaches α."""
    real = torch.zeros(1, 1, 1, 1, 2)
    fake = torch.tensor([2.0, -1.0]).view(1, 1, 1, 1, 2).requires_grad_()
    change = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2).requires_grad_()
    loss = dynamic_pixel_loss(real, fake, change)
    loss.backward()
    assert loss.item() == pytest.approx(1.75)
    assert change.grad is None
    assert fake.grad.flatten().tolist() == [0.75, -0.25]


@pytest.mark.parametrize(("point", "axis", "weight"), [(50, 1, 100), (50, 0, 1), (30, 1, 1)])
def test_lips_weigh_more_in_height(point, axis, weight):
    """One of 136 numbers off by 0.1: (0.1 · M)² / 136."""
    regressed = torch.zeros(1, 1, 68, 2)
    regressed[0, 0, point, axis] = 0.1
    loss = landmark_regression(torch.zeros(1, 1, 68, 2), regressed)
    assert loss.item() == pytest.approx((0.1 * weight) ** 2 / 136, rel=1e-4)


def objective(dynamic: bool = True) -> LandmarkToTexture:
    torch.manual_seed(0)
    return LandmarkToTexture(SMALL, dynamic)


def test_plain_pixel_loss_is_the_ablation():
    batch = excerpts()
    fake = Frames(batch.frames + 0.5, batch.frames, torch.ones(2, 3, 1, 64, 64))
    for dynamic, expected in ((False, 0.5), (True, 0.75)):
        pixel = objective(dynamic).generator_terms(batch, fake)["pixel"]
        assert pixel().item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("absent", WEIGHTS)
def test_a_weight_of_nought_removes_the_term(absent):
    model, batch, phase = objective(), excerpts(), Phase(1, WEIGHTS | {absent: 0.0}, {})
    fake = model.generate(batch)
    assert set(computed(model.generator_terms(batch, fake), phase.weights.get)) == set(WEIGHTS) - {absent}
    judged = computed(model.discriminator_terms(batch, fake), partial(serves, model, phase))
    assert set(judged) == {"sequence", "landmark"} - {absent}


@pytest.mark.parametrize(
    ("weights", "of_discriminator", "of_generator"),
    [
        ({"pixel": 10.0, "sequence": 1.0, "landmark": 1.0}, 2, 1),
        ({"pixel": 10.0, "sequence": 1.0, "landmark": 0.0}, 2, 1),
        ({"pixel": 10.0, "sequence": 0.0, "landmark": 0.0}, 0, 0),
    ],
)
def test_frames_are_judged_once_for_both_terms_and_only_where_there_is_one(
    weights, of_discriminator, of_generator, monkeypatch
):
    """The discriminator looks at real frames and generated ones; for the generator at generated ones alone."""
    model, batch, phase = objective(), excerpts(), Phase(1, weights, {})
    fake, seen, forward = model.generate(batch), [], model.discriminator.forward
    monkeypatch.setattr(
        model.discriminator, "forward", lambda frames, photo: seen.append(frames) or forward(frames, photo)
    )
    computed(model.discriminator_terms(batch, fake), partial(serves, model, phase))
    assert len(seen) == of_discriminator
    computed(model.generator_terms(batch, fake), phase.weights.get)
    assert len(seen) == of_discriminator + of_generator


def test_an_undecided_discriminator_that_finds_the_landmarks():
    """D_s = ½ of real and generated frames: 2 log 2 for it, as Eq. 9 sums the two, and log 2 for the generator. D_p is the
    photo's landmarks, which are the true ones: nought for both."""
    model, batch = objective(), excerpts()
    for layer in (model.discriminator.score, model.discriminator.regression):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    batch = batch._replace(landmarks=batch.photo_landmarks[:, None].expand_as(batch.landmarks))
    fake = model.generate(batch)
    judged, made = model.discriminator_terms(batch, fake), model.generator_terms(batch, fake)
    assert judged["sequence"]().item() == pytest.approx(2 * math.log(2))
    assert made["sequence"]().item() == pytest.approx(math.log(2))
    assert judged["landmark"]().item() == made["landmark"]().item() == 0


def test_the_regression_starts_from_the_photos_landmarks():
    """D_p is the photo's landmarks and what tanh adds: with its layer at 0 it is the photo's."""
    network, batch = Discriminator(SMALL), excerpts()
    torch.nn.init.zeros_(network.regression.weight)
    torch.nn.init.zeros_(network.regression.bias)
    _, faces = network(batch.frames, batch.photo_landmarks)
    torch.testing.assert_close(faces, batch.photo_landmarks[:, None].expand(2, 3, 68, 2))


def test_validation_error_is_that_of_the_lower_half():
    batch = excerpts()
    image = batch.frames.clone()
    image[..., :32, :] += 1
    image[..., 32:, :] += 0.25
    fake = Frames(image, image, image[:, :, :1])
    assert objective().validation_error(batch, fake).item() == pytest.approx(0.25, rel=1e-4)


def test_landmarks_span_the_crop():
    corners = np.array([[0.0, 0.0], [32.0, 32.0], [64.0, 16.0]])
    assert about_centre(corners, 64).tolist() == [[-1, -1], [0, 0], [1, -0.5]]
