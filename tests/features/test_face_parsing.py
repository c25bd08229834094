"""The network against the public checkpoint: names, shapes and sizes as published; blocks against what they must give."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.features import face_parsing
from pipeline.features.face_parsing import (
    CLASSES,
    AttentionRefinement,
    BasicBlock,
    BiSeNet,
    FeatureFusion,
    Head,
    face_parser,
    load_face_parsing,
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = BiSeNet()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1


@torch.no_grad()
def test_scores_have_the_images_size(network, images):
    assert network(images).shape == (2, 19, 64, 96)
    maps = network.cp.resnet(images)
    assert [tuple(x.shape) for x in maps] == [(2, 128, 8, 12), (2, 256, 4, 6), (2, 512, 2, 3)]
    assert [tuple(x.shape) for x in network.cp(images)] == [(2, 128, 8, 12)] * 2


def test_classes_are_in_the_published_order():
    assert len(CLASSES) == 19 and CLASSES[11:14] == ("mouth", "upper_lip", "lower_lip") and CLASSES[17] == "hair"


def test_names_and_sizes_are_the_published_files(network):
    """79999_iter.pth has 191 tensors; the 148 of the network proper, without counters, are 52,650,752 bytes."""
    state = network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    expected = {
        "cp.resnet.conv1.weight": (64, 3, 7, 7),
        "cp.resnet.bn1.running_var": (64,),
        "cp.resnet.layer1.0.conv1.weight": (64, 64, 3, 3),
        "cp.resnet.layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "cp.resnet.layer2.0.downsample.1.running_mean": (128,),
        "cp.resnet.layer4.1.bn2.num_batches_tracked": (),
        "cp.arm16.conv.conv.weight": (128, 256, 3, 3),
        "cp.arm32.conv_atten.weight": (128, 128, 1, 1),
        "cp.arm32.bn_atten.bias": (128,),
        "cp.conv_head32.bn.weight": (128,),
        "cp.conv_avg.conv.weight": (128, 512, 1, 1),
        "ffm.convblk.conv.weight": (256, 256, 1, 1),
        "ffm.conv1.weight": (64, 256, 1, 1),
        "ffm.conv2.weight": (256, 64, 1, 1),
        "conv_out.conv_out.weight": (19, 256, 1, 1),
        "conv_out16.conv.conv.weight": (64, 128, 3, 3),
        "conv_out32.conv_out.weight": (19, 64, 1, 1),
    }
    assert expected.items() <= shapes.items()
    assert len(state) == 191
    left_out = ("conv_out16", "conv_out32", "num_batches_tracked")
    proper = [value for name, value in state.items() if not any(part in name for part in left_out)]
    assert len(proper) == 148 and sum(value.nbytes for value in proper) == 52_650_752


def test_the_backbone_is_resnet_18(network):
    """11,689,512 parameters as published, 513,000 of them the classifier of 1,000 classes."""
    assert sum(p.numel() for p in network.cp.resnet.parameters()) == 11_689_512 - 513_000


@torch.no_grad()
def test_blocks_do_what_their_names_say(images):
    x = torch.randn(2, 128, 8, 12, generator=torch.Generator().manual_seed(1))
    residual = BasicBlock(128, 128, 1).eval()
    nn.init.zeros_(residual.bn2.weight)
    torch.testing.assert_close(residual(x), x.relu())
    # An attention that has learnt nothing weighs every channel by a half.
    refinement, fusion = AttentionRefinement(128, 64).eval(), FeatureFusion().eval()
    nn.init.zeros_(refinement.conv_atten.weight)
    nn.init.zeros_(fusion.conv2.weight)
    torch.testing.assert_close(refinement(x), refinement.conv(x) / 2)
    torch.testing.assert_close(fusion(x, -x), fusion.convblk(torch.cat([x, -x], dim=1)) * 1.5)
    head = Head(128, 64).eval()
    torch.testing.assert_close(head(x), torch.einsum("oc,nchw->nohw", head.conv_out.weight[..., 0, 0], head.conv(x)))


@torch.no_grad()
@pytest.mark.parametrize("zipped", [True, False], ids=["of PyTorch 1.6 and later", "as the published file"])
def test_a_checkpoint_gives_back_the_network(network, images, tmp_path, zipped):
    path = tmp_path / "79999_iter.pth"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert torch.equal(load_face_parsing(path)(images), network(images))


def test_an_image_is_normalised_and_the_highest_score_taken(monkeypatch):
    seen = []

    def stand_in(x):
        seen.append(x)
        scores = torch.zeros(1, 19, *x.shape[2:])
        scores[:, 12, :, 1], scores[:, 13, 0, 0] = 1, 2
        return scores

    monkeypatch.setattr(face_parsing, "load_face_parsing", lambda path: stand_in)
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = (255, 51, 0)
    labels = face_parser("any")(image)
    np.testing.assert_array_equal(labels, [[13, 12], [0, 12]])
    # (1 − 0.485) / 0.229, (0.2 − 0.456) / 0.224, (0 − 0.406) / 0.225
    np.testing.assert_allclose(seen[0][0, :, 0, 1], [2.24891, -1.14286, -1.80444], atol=1e-5)


def test_other_files_are_one_line_with_the_mend(network, tmp_path):
    state = network.state_dict()
    files = {name: tmp_path / f"{name}.pth" for name in ("missing", "text", "truncated", "fewer_classes", "lacks_one")}
    files["text"].write_text("no checkpoint")
    torch.save(state, files["truncated"])
    content = files["truncated"].read_bytes()
    files["truncated"].write_bytes(content[: len(content) // 2])
    head = "conv_out.conv_out.weight"
    torch.save(state | {head: state[head][:11]}, files["fewer_classes"])
    torch.save({name: value for name, value in state.items() if name != head}, files["lacks_one"])
    for path in files.values():
        with pytest.raises(UserError, match=f"{path.name}.*alignment.face_parsing") as error:
            load_face_parsing(path)
        assert "\n" not in str(error.value)
