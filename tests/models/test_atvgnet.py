"""ATVGnet's networks and losses: published sizes, equations by hand, no seam between pieces."""

import pytest
import torch

from pipeline.models.atvgnet import (
    ATNet,
    AudioToLandmark,
    ConvGRU,
    Discriminator,
    Frames,
    LandmarkToTexture,
    Motion,
    Settings,
    Speech,
    VGNet,
    Video,
    Winograd,
    dynamic_pixel_loss,
    for_inference,
    in_blocks,
    landmark_regression,
)

PAPER = Settings(image_size=128, width=1.0, boost=(1.0,) * 6)
SMALL = Settings(image_size=64, width=1 / 16, boost=(1.0,) * 6)
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


@pytest.mark.parametrize(("network", "millions"), [(ATNet, 30.1), (VGNet, 58.4)])
def test_the_number_of_parameters_is_the_published_one(network, millions):
    with torch.device("meta"):
        assert sum(p.numel() for p in network(PAPER).parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


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


# AT-net


def test_landmarks_are_the_boosted_components_on_the_mean_shape():
    """Eq. 4 with a basis that moves the first and the last number of the face."""
    torch.manual_seed(0)
    network = ATNet(Settings(64, 1 / 16, (1.0, 3.0))).eval()
    network.mean.fill_(0.5)
    network.basis[0, 0] = network.basis[1, -1] = 1
    motion, _ = network(torch.randn(2, 4, 28, 12), torch.zeros(2, 2))
    assert motion.components.shape == (2, 4, 2) and motion.landmarks.shape == (2, 4, 68, 2)
    torch.testing.assert_close(motion.landmarks[:, :, 0, 0], 0.5 + motion.components[..., 0])
    torch.testing.assert_close(motion.landmarks[:, :, -1, 1], 0.5 + 3 * motion.components[..., 1])
    assert (motion.landmarks[:, :, 1:-1] == 0.5).all()
    torch.testing.assert_close(network.project(motion.landmarks), motion.components * torch.tensor([1.0, 3.0]))


def test_speech_goes_on_without_a_seam():
    network = ATNet(SMALL).eval()
    network.basis.normal_()
    mfcc, example = torch.randn(1, 9, 28, 12) * 10, torch.randn(1, 6)
    whole, _ = network(mfcc, example)
    first, state = network(mfcc[:, :4], example)
    second, _ = network(mfcc[:, 4:], example, state)
    torch.testing.assert_close(torch.cat([first.landmarks, second.landmarks], dim=1), whole.landmarks)
    again, _ = network(mfcc[:, 4:], example)
    assert not torch.allclose(again.components, second.components)


def test_atnet_hears_the_past_and_not_the_future():
    network = ATNet(SMALL).eval()
    mfcc, example = torch.randn(1, 6, 28, 12) * 10, torch.zeros(1, 6)
    changed = mfcc.clone()
    changed[:, 3] += 5
    before, after = (network(x, example)[0].components for x in (mfcc, changed))
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert (before[:, 3:] != after[:, 3:]).all()


def test_errors_of_atnet():
    """Components that are all off by 2 → 4; a mouth moved by (0.03, 0.04) eye distances → 5 %."""
    system = AudioToLandmark(ATNet(SMALL))
    landmarks = torch.rand(1, 2, 68, 2)
    batch = Speech(torch.zeros(1, 2, 28, 12), torch.zeros(1, 6), torch.zeros(1, 2, 6), landmarks)
    moved = landmarks.clone()
    moved[..., 48:, :] += torch.tensor([0.03, 0.04])
    moved[..., :48, :] += 1
    fake = Motion(torch.full((1, 2, 6), 2.0), moved)
    assert system.generator_terms(batch, fake)["components"].item() == pytest.approx(4)
    assert system.validation_error(batch, fake).item() == pytest.approx(5, rel=1e-4)
    assert system.discriminator_terms(batch, fake) == {}


# VG-net


@pytest.mark.parametrize("size", [64, 96, 128])
def test_frames_at_other_sizes(size):
    network = VGNet(Settings(size, 1 / 16, SMALL.boost))
    batch = excerpts(size)
    frames, state = network(batch.photo, batch.photo_landmarks, batch.landmarks)
    assert frames.image.shape == frames.colour.shape == (2, 3, 3, size, size)
    assert frames.change.shape == (2, 3, 1, size, size)
    assert state.middle.shape[-1] == size // 4 and state.deep.shape[-1] == state.hidden.shape[-1] == size // 16
    score, faces = Discriminator(Settings(size, 1 / 16, SMALL.boost))(frames.image, batch.photo_landmarks)
    assert score.shape == (2, 1) and faces.shape == (2, 3, 68, 2)


def test_a_face_fits_into_the_landmark_map_at_every_size():
    for size in (64, 128, 256):
        network = VGNet(Settings(size, 1 / 16, SMALL.boost))
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


def test_a_convolution_in_blocks_is_the_same():
    torch.manual_seed(0)
    convolution, x = torch.nn.Conv2d(3, 4, 7, padding=3), torch.randn(2, 3, 10, 12)
    torch.testing.assert_close(in_blocks(convolution)(x), convolution(x))


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


def test_plain_pixel_loss_is_the_ablation():
    batch = excerpts()
    fake = Frames(batch.frames + 0.5, batch.frames, torch.ones(2, 3, 1, 64, 64))
    for dynamic, expected in ((False, 0.5), (True, 0.75)):
        system = LandmarkToTexture(SMALL, WEIGHTS | {"sequence": 0.0, "landmark": 0.0}, dynamic)
        assert system.generator_terms(batch, fake)["pixel"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("absent", WEIGHTS)
def test_a_weight_of_nought_removes_the_term(absent):
    system, batch = LandmarkToTexture(SMALL, WEIGHTS | {absent: 0.0}, dynamic=True), excerpts()
    fake = system.generate(batch)
    assert set(system.generator_terms(batch, fake)) == set(WEIGHTS) - {absent}
    assert set(system.discriminator_terms(batch, fake)) == {"sequence", "landmark"} - {absent}


def test_nothing_judges_without_adversarial_weights(monkeypatch):
    system, batch = LandmarkToTexture(SMALL, {"pixel": 1.0, "sequence": 0.0, "landmark": 0.0}, dynamic=True), excerpts()
    monkeypatch.setattr(system.discriminator, "forward", None)
    fake = system.generate(batch)
    assert system.discriminator_terms(batch, fake) == {} and set(system.generator_terms(batch, fake)) == {"pixel"}


def test_the_regression_starts_from_the_photos_landmarks():
    """D_p is the photo's landmarks and what tanh adds: with its layer at 0 it is the photo's."""
    network, batch = Discriminator(SMALL), excerpts()
    torch.nn.init.zeros_(network.regression.weight)
    torch.nn.init.zeros_(network.regression.bias)
    _, faces = network(batch.frames, batch.photo_landmarks)
    torch.testing.assert_close(faces, batch.photo_landmarks[:, None].expand(2, 3, 68, 2))


def test_validation_error_is_that_of_the_lower_half():
    system, batch = LandmarkToTexture(SMALL, WEIGHTS, dynamic=True), excerpts()
    image = batch.frames.clone()
    image[..., :32, :] += 1
    image[..., 32:, :] += 0.25
    fake = Frames(image, image, image[:, :, :1])
    assert system.validation_error(batch, fake).item() == pytest.approx(0.25, rel=1e-4)
