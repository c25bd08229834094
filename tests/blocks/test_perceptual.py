"""VGG-19 against its published layout and size, and the losses against what they must be."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.blocks.perceptual import VGG19, load_vgg19, perceptual_l1, perceptual_mse
from pipeline.errors import UserError


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def checkpoint(tmp_path):
    """A file laid out as the public one: names, shapes, and a classifier, whose size the layout leaves alone."""
    torch.manual_seed(1)
    state = VGG19().state_dict() | {"classifier.0.weight": torch.zeros(1), "classifier.0.bias": torch.zeros(1)}
    path = tmp_path / "vgg19-dcbb9e9d.pth"
    torch.save(state, path)
    return path


def test_the_network_is_configuration_e():
    """37 layers and 20,024,384 parameters are published figures."""
    network = VGG19()
    assert len(network.features) == 37
    assert sum(p.numel() for p in network.parameters()) == 20_024_384
    assert [k for k, layer in enumerate(network.features) if isinstance(layer, nn.MaxPool2d)] == [4, 9, 18, 27, 36]
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()}["features.28.weight"] == (512, 512, 3, 3)


def test_maps_halve_in_size(images):
    network, _ = load_vgg19(None, 0.25)
    assert [tuple(x.shape[1:]) for x in network(images)] == [
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
        (128, 4, 4),
        (128, 2, 2),
    ]


def test_images_are_brought_to_imagenets_mean_and_deviation():
    """A picture of the published mean colour plus two published deviations is 2 to the first convolution."""
    network, _ = load_vgg19(None, 1)
    colour = torch.tensor([0.485 + 2 * 0.229, 0.456 + 2 * 0.224, 0.406 + 2 * 0.225])[None, :, None, None] * 2 - 1
    seen = []
    network.features[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    network(colour.expand(1, 3, 64, 64))
    torch.testing.assert_close(seen[0], torch.full_like(seen[0], 2), atol=1e-5, rtol=0)


def test_losses_are_the_mean_difference_of_the_maps(images):
    network, _ = load_vgg19(None, 0.25)
    other = images.flip(0)
    maps = list(zip(network(images), network(other), strict=True))
    torch.testing.assert_close(perceptual_l1(network, images, other), sum((a - b).abs().mean() for a, b in maps) / 5)
    torch.testing.assert_close(
        perceptual_mse(network, images, other), sum((a - b).square().mean() for a, b in maps) / 5
    )
    assert perceptual_l1(network, images, images) == perceptual_mse(network, images, images) == 0


def test_a_blurred_image_is_nearer_than_another(images):
    """Also to random features: what the images show counts, and not noise."""
    network, _ = load_vgg19(None, 0.25)
    face = F.interpolate(images[:1, :, ::8, ::8], (64, 64), mode="bilinear")
    nearby, distances = F.avg_pool2d(F.pad(face, (1, 1, 1, 1), "replicate"), 3, 1), {}
    for name, image in (("nearby", nearby), ("turned", face.rot90(2, (2, 3)))):
        distances[name] = perceptual_l1(network, face, image).item()
    assert 0 < distances["nearby"] < 0.5 * distances["turned"]


def test_gradients_go_to_the_generated_image_alone(images):
    network, _ = load_vgg19(None, 0.25)
    real, fake = images.clone().requires_grad_(), images.flip(0).requires_grad_()
    perceptual_mse(network, real, fake).backward()
    assert real.grad is None and fake.grad.abs().sum() > 0
    assert all(p.grad is None for p in network.parameters())


def test_random_weights_are_fixed_and_keep_the_scale(images):
    torch.manual_seed(5)
    (one, origin), (other, _) = load_vgg19(None, 0.5), load_vgg19(None, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert origin["weights"] == "random"
    spreads = [x.std().item() for x in one(images)]
    assert min(spreads) > 0.1 and max(spreads) < 10


def test_a_users_file_is_what_is_used(checkpoint, images, capsys):
    network, origin = load_vgg19(checkpoint, 0.25)
    expected = torch.load(checkpoint, weights_only=True)
    assert torch.equal(network.features[34].weight, expected["features.34.weight"])
    assert origin["weights"] == "ImageNet file" and str(checkpoint) in capsys.readouterr().out


def test_files_that_are_no_vgg19_are_refused_in_one_line(tmp_path, checkpoint):
    wrong, junk, short = tmp_path / "wrong.pth", tmp_path / "junk.pth", tmp_path / "short.pth"
    torch.save(VGG19(0.5).state_dict(), wrong)
    junk.write_bytes(b"no checkpoint")
    short.write_bytes(checkpoint.read_bytes()[:100_000])
    for path in (wrong, junk, short, tmp_path / "missing.pth"):
        with pytest.raises(UserError, match=path.name) as refused:
            load_vgg19(path, 1)
        assert "\n" not in str(refused.value)
