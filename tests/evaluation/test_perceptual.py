"""Networks of weights that users give: held against the programs that publish them, on files with weights drawn by a seed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.errors import UserError
from pipeline.evaluation.given import Given, given_features, given_metrics
from pipeline.evaluation.inception import Inception, inception_features, load_inception
from pipeline.evaluation.lpips import load_lpips
from pipeline.evaluation.perceptual import FID_STEP, FVD_FRAMES, features, load_i3d
from tests.evaluation.weights import images, write_i3d, write_inception, write_lpips

RNG = np.random.default_rng(0)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One of each kind, as the options want them."""
    folder = tmp_path_factory.mktemp("weights")
    write_inception(folder / "inception.pth", {name: x.shape for name, x in Inception().state_dict().items()})
    write_lpips(folder / "lpips")
    write_i3d(folder / "i3d.pt")
    return Given(folder / "lpips", folder / "inception.pth", folder / "i3d.pt")


@pytest.fixture(scope="module")
def inception(files):
    return load_inception(files.fid)


def clip(n, size=64):
    return RNG.integers(0, 256, (n, size, size, 3), np.uint8)


def test_inception_sees_what_torch_fidelitys_does(inception):
    """Of torch-fidelity 0.4.0 (FeatureExtractorInceptionV3), the same file and images; it has no use for a resize at 299 px."""
    found = inception((images(2, 299) - 128) / 128)[:, [500, 1000, 1700]]
    expected = torch.tensor([[9.063775, 0.079765, 12.981127], [8.896298, 0.079203, 12.598578]])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_small_images_are_enlarged_as_by_pytorch_fid(inception):
    """Of pytorch-fid 0.3.0 (InceptionV3), whose images are 0 … 1."""
    found = inception_features(inception, images(2, 64) / 127.5 - 1)
    expected = torch.tensor([[6.519825, 0.047216, 9.096663], [6.762442, 0.073911, 9.538166]])
    torch.testing.assert_close(found[:, [500, 1000, 1700]], expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (2, 2048) and (found >= 0).all()


@pytest.mark.parametrize(("size", "expected"), [(64, [0.217182, 0.217192]), (100, [0.218843, 0.219124])])
def test_lpips_is_that_of_its_package(files, size, expected):
    """Of lpips 0.1.4 (LPIPS(net="alex")), the same files and images in −1 … 1."""
    shown = images(4, size) / 127.5 - 1
    assert load_lpips(files.lpips)(shown[:2], shown[2:]).tolist() == pytest.approx(expected, abs=2e-6)


def test_lpips_of_itself_is_nought_and_grows_with_damage(files):
    truth = clip(3)
    noise = RNG.normal(0, 1, truth.shape)
    values = [
        given_metrics(files, truth, (truth + deviation * noise).clip(0, 255).astype(np.uint8))["lpips"]
        for deviation in (0, 8, 32)
    ]
    assert values[0] == 0 < values[1] < values[2]


def test_fid_looks_at_every_fifth_frame_and_fvd_at_whole_windows(files):
    """The made-up network's features are means: of the window in −1 … 1, and of its first half in 0 … 1."""
    frames = clip(2 * FVD_FRAMES + 3, size=32)
    windows = features("fvd", files.fvd, frames)
    assert windows.shape == (2, 400)
    second = frames[FVD_FRAMES : 2 * FVD_FRAMES] / 255
    expected = [*(2 * second.mean(axis=(0, 1, 2)) - 1), *second[: FVD_FRAMES // 2].mean(axis=(0, 1, 2))]
    np.testing.assert_allclose(windows[1, :6], expected, atol=1e-5)
    assert features("fvd", files.fvd, frames[: FVD_FRAMES - 1]).shape == (0, 400)
    looked_at = features("fid", files.fid, frames[: 2 * FID_STEP])
    np.testing.assert_array_equal(looked_at, features("fid", files.fid, frames[[2, 7]][[0] * 3 + [1] * 5]))


def test_the_frames_of_a_clip_have_features_each(files):
    frames = clip(11)
    real, generated = given_features(files, frames, frames[::-1])["fid"]
    assert real.shape == generated.shape == (2, 2048)
    # Frames 2 and 7; reversed 8 and 3.
    assert not np.allclose(real, generated)


def test_without_weights_there_is_no_figure_and_no_torch():
    code = "import sys, numpy as np; from pipeline.evaluation.given import *; x = np.zeros((2, 64, 64, 3), np.uint8); "
    code += "print(given_metrics(NOTHING, x, x), given_features(NOTHING, x, x), NOTHING.checked().described()); "
    code += "print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said == "{} {} {}\nFalse\n"


def test_the_signature_tells_weights_apart(files, tmp_path):
    write_i3d(tmp_path / "other.pt")
    with (tmp_path / "other.pt").open("ab") as file:
        file.write(b" ")
    one, other = (Given(fvd=path).described()["fvd"] for path in (files.fvd, tmp_path / "other.pt"))
    assert one != other and "SHA-256" in one and set(files.described()) == {"lpips", "fid", "fvd"}


@pytest.mark.parametrize(
    ("kind", "words"),
    [("fid", "pt_inception-2015-12-05-6726825d.pth does"), ("fvd", "i3d_torchscript.pt does")],
)
def test_a_file_that_is_missing_damaged_or_anothers_is_one_line(kind, words, files, tmp_path):
    (tmp_path / "damaged").write_bytes(b"weights")
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "other.pth")
    swapped = files.fvd if kind == "fid" else files.fid
    for path in (tmp_path / "missing", tmp_path / "damaged", tmp_path / "other.pth", swapped):
        with pytest.raises(UserError, match=words) as refusal:
            Given(**{kind: path}).checked()
        assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_network_in_torchscript_that_is_not_i3d_is_one_line(tmp_path):
    class Other(torch.nn.Module):
        def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
            return x.mean(dim=[2, 3, 4])

    torch.jit.script(Other()).save(tmp_path / "other.pt")
    with pytest.raises(UserError, match="does not hold I3D"):
        load_i3d(tmp_path / "other.pt")


def test_a_folder_without_one_of_lpipss_files_is_one_line(files, tmp_path):
    with pytest.raises(UserError, match=r"alexnet-owt-7be5be79\.pth is missing; torchvision publishes it"):
        load_lpips(tmp_path)
    (tmp_path / "alexnet-owt-7be5be79.pth").write_bytes((files.lpips / "alexnet-owt-7be5be79.pth").read_bytes())
    with pytest.raises(UserError, match=r"alex\.pth is missing; the package lpips holds it"):
        load_lpips(tmp_path)
    (tmp_path / "alex.pth").write_bytes(b"weights")
    with pytest.raises(UserError, match=r"alex\.pth cannot be read"):
        load_lpips(tmp_path)
    # VGG's heads: of other numbers of filters.
    torch.save({f"lin{k}.model.1.weight": torch.ones(1, 64, 1, 1) for k in range(5)}, tmp_path / "alex.pth")
    with pytest.raises(UserError, match="are not AlexNet and LPIPS's weights of it") as refusal:
        load_lpips(tmp_path)
    assert "\n" not in str(refusal.value)
