"""The blink network and Eq. 5 of Sinha 2020 against numbers by hand."""

import numpy as np
import pytest
import torch

from pipeline.papers.sinha.blink_net import (
    BANDWIDTHS,
    EYE_REGION,
    NOISE_SIZE,
    Blink,
    BlinkNet,
    Settings,
    Windows,
    beyond_range,
    mmd,
    spread,
    trajectories,
    window_mmd,
)

ONE = torch.tensor(1.0)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def batch(n=6, steps=8, warm_up=3):
    real = normal(n, steps, 44)
    return Windows(real, normal(n, warm_up + steps, NOISE_SIZE, seed=1), spread(real), -torch.ones(44), torch.ones(44))


def network(units=8, components=4):
    torch.manual_seed(0)
    return BlinkNet(Settings(units=units, components=components))


def test_mmd_of_equal_samples_is_nought():
    x = normal(20, 5)
    assert mmd(x, x, ONE).item() == pytest.approx(0, abs=1e-6)
    assert mmd(x, x[torch.randperm(20)], ONE).item() == pytest.approx(0, abs=1e-6)


def test_mmd_of_two_points_by_hand():
    """x = 0 and y = 2 with σ = 2: k(x, x) − 2 k(x, y) + k(y, y) = 2 − 2 exp(−4 / 4); a Gaussian's σ² would be 4."""
    x, y = torch.tensor([[0.0]]), torch.tensor([[2.0]])
    assert mmd(x, y, 2 * ONE).item() == pytest.approx(2 - 2 * np.exp(-1))


def test_mmd_of_samples_of_two_sizes_by_hand():
    """x = {0, 1}, y = {1}, σ = 1/2, e = exp(−1): (2 + 2e)/4 − 2 (e + 1)/2 + 1 = (1 − e)/2."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0]])
    assert mmd(x, y, 0.5 * ONE).item() == pytest.approx((1 - np.exp(-1)) / 2)


def test_mmd_grows_with_the_distance_of_the_distributions():
    x = normal(300, 2)
    shifts = [mmd(x, normal(300, 2, seed=1) + shift, ONE).item() for shift in (0.0, 0.5, 1.0, 2.0)]
    assert shifts == sorted(shifts) and shifts[0] < 0.02 < shifts[1]


def test_mmd_tells_equal_means_apart():
    """Half the points at −1 and half at 1 are not all the points at 0: a blink in some windows is no half blink in all."""
    some = torch.tensor([[-1.0], [1.0]])
    assert mmd(some, torch.zeros(2, 1), ONE).item() > 0.1


def test_mmd_does_not_see_the_order_of_a_sample():
    x, y = normal(30, 4), normal(40, 4, seed=1) + 1
    shuffled = y[torch.randperm(40, generator=torch.Generator().manual_seed(2))]
    assert mmd(x, shuffled, ONE).item() == pytest.approx(mmd(x, y, ONE).item(), abs=1e-6)


def test_a_trajectory_is_one_points_way_through_a_window():
    windows = torch.arange(2 * 3 * 44.0).reshape(2, 3, 44)
    ways, motion = trajectories(windows)
    assert ways.shape == (22, 2, 6)
    # The second point's x and y are columns 2 and 3, at frames 0, 1, 2 of the first window.
    assert ways[1, 0].tolist() == [2, 3, 46, 47, 90, 91]
    assert motion[1].tolist() == [[88, 88], [88, 88]]


def test_the_unit_is_half_the_mean_squared_distance():
    windows = normal(40, 5, 44)
    for found, unit in zip(trajectories(windows), spread(windows), strict=True):
        distances = (found[7, :, None] - found[7, None]).square().sum(-1)
        # Over pairs of different windows.
        assert unit[7].item() == pytest.approx(distances.sum().item() / (40 * 39) / 2, rel=1e-4)


def test_a_blink_at_another_time_is_another_trajectory():
    """A step of every coordinate by 1 at the third of six frames, or at the fifth: two frames × (x, y) differ by 1, and of
    the four motions over two frames (0 0 1 1 | …) those that begin at frames 0, 1 and those at 2, 3."""
    early, late = torch.zeros(5, 6, 44), torch.zeros(5, 6, 44)
    early[:, 2:], late[:, 4:] = 1, 1
    unit = torch.ones(2, 22)
    assert window_mmd(early, early, unit).item() == pytest.approx(0, abs=1e-6)
    # |x − y|² is 4 for the ways and 8 for the motions.
    expected = np.mean([2 - 2 * np.exp(-d / (2 * width)) for d in (4, 8) for width in BANDWIDTHS])
    assert window_mmd(early, late, unit).item() == pytest.approx(expected)


def test_beyond_range_is_nought_within_and_a_share_of_the_range_without():
    low, high = torch.full((44,), -1.0), torch.full((44,), 3.0)
    within = torch.linspace(-1, 3, 50)[:, None].expand(50, 44)
    assert beyond_range(within, low, high).item() == 0
    outside = torch.zeros(1, 44)
    outside[0, 3], outside[0, 9] = 5, -2
    # 2 of a range of 4 above, 1 below, among 44.
    assert beyond_range(outside, low, high).item() == pytest.approx((0.5 + 0.25) / 44)


def test_the_region_is_eyes_and_brows():
    assert len(EYE_REGION) == 22 and set(EYE_REGION) == {*range(17, 27), *range(36, 48)}


def test_the_last_layer_begins_as_principal_components():
    net = network()
    mean = np.linspace(-1, 1, 44, dtype=np.float32)
    components = np.linalg.qr(np.random.default_rng(0).normal(size=(44, 4)))[0].T.astype(np.float32)
    deviations = np.array([4, 3, 2, 1], np.float32)
    net.start_from(mean, components, deviations)
    coefficients = torch.tensor([[1.0, 0.0, -1.0, 0.0]])
    expected = mean + 4 * components[0] - 2 * components[2]
    np.testing.assert_allclose(net.displacements(coefficients)[0].detach(), expected, atol=1e-5)


def test_state_handed_on_leaves_no_seam():
    net, noise = network().eval(), normal(2, 30, NOISE_SIZE)
    with torch.inference_mode():
        whole, _ = net(noise)
        first, state = net(noise[:, :11])
        second, _ = net(noise[:, 11:], state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole)


def test_the_warm_up_is_not_judged():
    objective, windows = Blink(network()), batch(steps=8, warm_up=3)
    fake = objective.generate(windows)
    assert fake.shape == windows.real.shape
    torch.testing.assert_close(fake, objective.generator(windows.noise)[0][:, 3:])
    assert windows.n_frames == 6 * 8


def test_the_terms_compare_with_the_real_windows():
    """Of equal windows the MMD is nought; of windows that leave the range −1 … 1 by 1, half the range is said."""
    objective, windows = Blink(network()), batch()
    terms = objective.generator_terms(windows, windows.real)
    assert terms.keys() == {"mmd", "range"}
    assert terms["mmd"]().item() == pytest.approx(0, abs=1e-6)
    assert objective.generator_terms(windows, torch.full_like(windows.real, -2.0))["range"]().item() == pytest.approx(
        0.5
    )
    assert objective.discriminator_terms(windows, windows.real) == {}
    shifted = windows.real + 1
    mmd = objective.generator_terms(windows, shifted)["mmd"]().item()
    assert mmd == objective.validation_error(windows, shifted).item() > 0.1


def test_the_mmd_trains_the_network_towards_rare_events():
    """A quarter of real windows hold a bump; gradient descent brings the generated ones closer."""
    real = torch.zeros(64, 8, 44)
    real[:16, 3:5] = 1.0
    windows = batch(64)._replace(real=real, unit=spread(real))
    objective = Blink(network(16))
    optimizer = torch.optim.Adam(objective.parameters(), 1e-2)
    before = objective.validation_error(windows, objective.generate(windows)).item()
    for _ in range(60):
        optimizer.zero_grad()
        objective.generator_terms(windows, objective.generate(windows))["mmd"]().backward()
        optimizer.step()
    assert objective.validation_error(windows, objective.generate(windows)).item() < 0.5 * before
