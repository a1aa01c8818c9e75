"""Feature rows: their number, order and scaling, and what padding leaves of them."""

import pytest
import torch

from datamodules.batch import LENGTH, SignalSpec
from lightning_modules.feature_rows.rows import FeatureRows, last_row, normalize, valid_rows


def clock(spec: SignalSpec) -> torch.Tensor:
    return torch.arange(spec.n_times, dtype=torch.float64) / spec.sfreq


@pytest.mark.parametrize(
    ("name", "spec", "expected"),
    [
        ("eeg", SignalSpec(4, 1280, 128.0), (20, 10)),
        ("eda", SignalSpec(1, 240, 4.0), (4, 60)),
        ("chest_eda", SignalSpec(1, 7000, 700.0), (4, 10)),
        ("bvp", SignalSpec(1, 640, 64.0), (3, 10)),
        ("bvp_beats", SignalSpec(4, 80, 8.0), (12, 10)),
        ("bvp", SignalSpec(1, 128, 64.0), (3, 2)),
        ("ecg", SignalSpec(2, 7000, 700.0), (16, 10)),
        ("resp", SignalSpec(1, 42000, 700.0), (6, 60)),
        ("resp", SignalSpec(1, 7000, 700.0), (3, 10)),
        ("temp", SignalSpec(1, 6, 4.0), (3, 1)),
        ("temp", SignalSpec(1, 2, 4.0), (3, 1)),
        ("acc", SignalSpec(3, 640, 32.0), (21, 20)),
        ("eeg_de", SignalSpec(310, 10, 0.25), (310, 10)),
    ],
)
def test_number_of_features_and_rows(name, spec, expected):
    front = FeatureRows({name: spec})
    assert (front.n_features, front.n_rows) == expected
    rows = front.eval()({name: torch.randn(2, spec.n_channels, spec.n_times)})
    assert rows.shape == (2, *expected)
    assert not list(front.parameters())
    if spec.sfreq > 1:
        for value in (0.0, 7.0, 1e4):
            constant = front.train()({name: torch.full((2, spec.n_channels, spec.n_times), value)})
            assert constant.isfinite().all()


def test_rows_of_a_dataset_pass_as_they_are():
    front = FeatureRows({"eeg_de": SignalSpec(310, 10, 0.25)})
    window = torch.randn(2, 310, 10)
    assert torch.equal(front({"eeg_de": window}), window)


def test_maps_of_channel_major_features():
    front = FeatureRows({"eeg_de": SignalSpec(310, 4, 0.25)})
    assert front.layout == (5, 62)
    maps = front.maps(torch.arange(310.0)[None, :, None].expand(1, 310, 4))
    assert maps.shape == (1, 5, 62, 4)
    assert maps[0, 3, 10, 0] == 10 * 5 + 3
    assert FeatureRows({"eeg": SignalSpec(7, 640, 128.0)}).layout == (5, 7)
    assert FeatureRows({"eye": SignalSpec(33, 4, 0.25)}).layout == (33, 1)


def test_entropies_of_eeg_are_channel_major():
    spec = SignalSpec(3, 256, 128.0)
    window = torch.zeros(1, 3, 256)
    window[0, 1] = torch.sin(2 * torch.pi * 20 * clock(spec)).float()
    front = FeatureRows({"eeg": spec}).eval()
    maps = front.maps(front({"eeg": window}))  # (1, bands, channels, R)
    assert maps[0, :, :, 0].argmax() == 3 * 3 + 1


def test_statistics_come_from_training_batches_alone():
    inputs = {"eda": SignalSpec(1, 40, 4.0), "temp": SignalSpec(1, 40, 4.0)}
    front = FeatureRows(inputs)
    batches = [{name: torch.randn(16, 1, 40) * 3 + 5 for name in inputs} for _ in range(4)]
    for batch in batches:
        rows = front(batch)
        torch.testing.assert_close(rows.mean(dim=(0, 2)), torch.zeros(7), atol=1e-3, rtol=0)
    front.eval()
    before = {name: value.clone() for name, value in front.state_dict().items()}
    joined = torch.cat([front(batch) for batch in batches])
    torch.testing.assert_close(joined.mean(dim=(0, 2)), torch.zeros(7), atol=0.02, rtol=0)
    torch.testing.assert_close(joined.std(dim=(0, 2)), torch.ones(7), atol=0.05, rtol=0)
    front({name: torch.full((1, 1, 40), 1e6) for name in inputs})
    assert all(torch.equal(value, before[name]) for name, value in front.state_dict().items())
    assert any("running_mean" in name for name in before)


def test_rows_of_slower_signals_are_repeated():
    inputs = {"temp": SignalSpec(1, 40, 4.0), "music": SignalSpec(6, 1, 0.1)}
    rows = FeatureRows(inputs)({"temp": torch.randn(2, 1, 40), "music": torch.ones(2, 6, 1)})
    assert rows.shape == (2, 9, 10)
    assert (rows[:, 3:] == 1).all()


@pytest.mark.parametrize("n_rows", [1, 10, 74])
def test_valid_rows_against_a_loop(n_rows):
    shares = [1e-6, 0.04, 0.33, 0.5, 13 / 74, 73 / 74, 1.0]
    found = valid_rows(torch.tensor(shares)[:, None, None], n_rows)
    assert found.shape == (len(shares), n_rows)
    for share, row in zip(shares, found.tolist(), strict=True):
        n = max(1, round(share * n_rows))
        assert row == [True] * n + [False] * (n_rows - n)


@pytest.mark.parametrize("shape", [(4, 6, 9), (4, 6, 3, 9)])
def test_padded_rows_are_no_part_of_batch_statistics(shape):
    maps = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 2
    counts = [9, 1, 4, 6]
    valid = torch.arange(9) < torch.tensor(counts)[:, None]
    norm = (torch.nn.BatchNorm1d if len(shape) == 3 else torch.nn.BatchNorm2d)(6, momentum=None)
    found = normalize(norm, maps, valid)
    for channel in range(6):
        rows = [maps[b, channel, ..., :n].flatten().double() for b, n in enumerate(counts)]
        kept = torch.cat(rows)
        assert norm.running_mean[channel] == pytest.approx(float(kept.mean()), abs=1e-5)
        assert norm.running_var[channel] == pytest.approx(float(kept.var()), rel=1e-5)
        for b, n in enumerate(counts):
            expected = (rows[b] - kept.mean()) / (kept.var(correction=0) + 1e-5).sqrt()
            given = found[b, channel, ..., :n].flatten().double()
            torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
            assert not found[b, channel, ..., n:].any()
    assert torch.equal(normalize(norm.eval(), maps, None), norm(maps))


def test_last_rows():
    states = torch.arange(24.0).view(3, 4, 2)
    valid = torch.tensor([[True, False, False, False], [True] * 4, [True, True, False, False]])
    assert last_row(states, valid).tolist() == [[0, 1], [14, 15], [18, 19]]
    assert torch.equal(last_row(states, None), states[:, 3])


def test_the_mask_is_no_feature_and_padded_rows_are_zero():
    inputs = {"eeg_de": SignalSpec(310, 10, 0.25), LENGTH: SignalSpec(1, 1, 1 / 3600)}
    front = FeatureRows(inputs)
    assert (front.n_features, front.n_rows, front.layout) == (310, 10, (5, 62))
    window = torch.randn(2, 310, 10)
    rows = front({"eeg_de": window, LENGTH: torch.tensor([0.3, 1.0])[:, None, None]})
    assert torch.equal(rows[0, :, :3], window[0, :, :3])
    assert not rows[0, :, 3:].any()
    assert torch.equal(rows[1], window[1])


KINDS = {
    "eda": SignalSpec(1, 240, 4.0),
    "bvp": SignalSpec(2, 3840, 64.0),
    "ecg": SignalSpec(1, 15360, 256.0),
    "resp": SignalSpec(1, 3840, 64.0),
    "music": SignalSpec(6, 6, 0.1),
}


def drawn(inputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(8, spec.n_channels, spec.n_times, generator=generator).cumsum(2)
        if name != LENGTH
        else torch.rand(8, 1, 1, generator=generator)
        for name, spec in inputs.items()
    }


@pytest.mark.parametrize("masked", [False, True])
def test_rows_of_what_was_measured_before_are_the_same(masked):
    inputs = {**KINDS, LENGTH: SignalSpec(1, 1, 1 / 60)} if masked else KINDS
    signals = drawn(inputs)
    plain, early = FeatureRows(inputs), FeatureRows(inputs)
    assert early.front.key == ("FeatureRows", *inputs.items())
    features = early.front.scaled(early.front.measure(signals), None, None)
    before = {name: values.clone() for name, values in features.items()}
    for _ in range(2):
        assert torch.equal(early(features), plain(signals))
    assert all(torch.equal(features[name], values) for name, values in before.items())
    for name, value in plain.state_dict().items():
        assert torch.equal(value, early.state_dict()[name])
    assert torch.equal(early.eval()(features), plain.eval()(signals))


@pytest.mark.parametrize("size", [1e-4, 1.0, 300.0])
def test_scaling_what_was_measured_is_measuring_what_was_scaled(size):
    front = FeatureRows(KINDS).front
    signals = {name: size * window for name, window in drawn(KINDS).items()}
    shift = {name: window.mean(dim=(0, 2))[:, None] for name, window in signals.items()}
    scale = {name: window.std(dim=(0, 2))[:, None] for name, window in signals.items()}
    scaled = {name: (window - shift[name]) / scale[name] for name, window in signals.items()}
    found = front.scaled(front.measure(signals), shift, scale)
    expected = front.scaled(front.measure(scaled), None, None)
    assert found.keys() == expected.keys()
    for name, features in expected.items():
        torch.testing.assert_close(found[name], features, atol=2e-4, rtol=2e-4)


def test_bands_without_power_are_scaled_to_the_floor():
    inputs = {"ecg": KINDS["ecg"], "resp": KINDS["resp"]}
    front = FeatureRows(inputs).front
    clock = torch.arange(3840) / 64.0
    signals = {
        "ecg": torch.full((1, 1, 15360), 7.0),
        "resp": 1e-7 * torch.sin(2 * torch.pi * 0.25 * clock).expand(1, 1, -1),
    }
    shift = {name: torch.zeros(1, 1) for name in inputs}
    scale = {"ecg": torch.full((1, 1), 50.0), "resp": torch.full((1, 1), 3.0)}
    scaled = {name: window / scale[name] for name, window in signals.items()}
    found = front.scaled(front.measure(signals), shift, scale)
    expected = front.scaled(front.measure(scaled), None, None)
    for name, features in expected.items():
        torch.testing.assert_close(found[name], features, atol=1e-5, rtol=1e-4)
    share = found["rows of resp"][0, 4]
    assert (share < 0.01).all()  # the breath is as small as none


def test_rows_that_are_given_are_not_kept_twice():
    assert FeatureRows({"eeg_de": SignalSpec(310, 10, 0.25)}).front is None
