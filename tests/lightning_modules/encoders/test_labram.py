"""LaBraM: names and number of the published weights, and channels by their names."""

import pytest
import torch

from lightning_modules.encoders.labram import ELECTRODES, Attention, LaBraMNetwork

EEGMAT = [
    "Fp1",
    "Fp2",
    "F3",
    "F4",
    "F7",
    "F8",
    "T3",
    "T4",
    "C3",
    "C4",
    "T5",
    "T6",
    "P3",
    "P4",
    "O1",
    "O2",
    "Fz",
    "Cz",
    "Pz",
]


@pytest.fixture(scope="module")
def network() -> LaBraMNetwork:
    torch.manual_seed(0)
    return LaBraMNetwork(("Fp1", "Cz", "O2"), 800).eval()


def test_size_is_that_of_the_paper(network):
    assert round(sum(values.numel() for values in network.parameters()) / 1e6, 1) == 5.8


def test_weights_have_the_published_names_and_shapes(network):
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    both = ("weight", "bias")
    assert set(shapes) == {
        *("cls_token", "pos_embed", "time_embed", "norm.weight", "norm.bias"),
        *(
            f"patch_embed.{kind}{n}.{w}"
            for kind in ("conv", "norm")
            for n in (1, 2, 3)
            for w in both
        ),
        *(f"blocks.{n}.gamma_{gamma}" for n in range(12) for gamma in (1, 2)),
        *(f"blocks.{n}.attn.qkv.weight" for n in range(12)),
        *(
            f"blocks.{n}.{layer}.{w}"
            for n in range(12)
            for layer in (
                *("norm1", "norm2", "mlp.fc1", "mlp.fc2"),
                *("attn.q_norm", "attn.k_norm", "attn.proj"),
            )
            for w in both
        ),
    }
    assert shapes["pos_embed"] == (1, 129, 200)
    assert shapes["time_embed"] == (1, 16, 200)
    assert shapes["patch_embed.conv1.weight"] == (8, 1, 1, 15)
    assert shapes["blocks.3.attn.qkv.weight"] == (600, 200)
    assert shapes["blocks.3.attn.q_norm.weight"] == (20,)


def test_there_are_128_places_on_the_head():
    assert len(ELECTRODES) == len(set(ELECTRODES)) == 128
    assert {name.upper() for name in EEGMAT} < set(ELECTRODES)


def test_a_channel_is_told_by_its_name_and_not_by_its_place_in_the_array(network):
    windows = torch.randn(2, 3, 800) * 40
    turned = LaBraMNetwork(("O2", "Fp1", "Cz"), 800).eval()
    turned.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = network(windows)
        assert expected.shape == (2, 200)
        torch.testing.assert_close(turned(windows[:, [2, 0, 1]]), expected, rtol=1e-4, atol=1e-5)
        assert (turned(windows) - expected).abs().max() > 1e-3


def test_seconds_have_an_order(network):
    windows = torch.randn(1, 3, 800) * 40
    with torch.no_grad():
        turned = network(windows.unflatten(2, (4, 200)).flip(2).flatten(2))
        assert (turned - network(windows)).abs().max() > 1e-3


def test_attention_is_that_of_its_formula():
    torch.manual_seed(3)
    layer = Attention().eval()
    x = torch.randn(1, 5, 200)
    with torch.no_grad():
        query, key, value = layer.qkv(x)[0].reshape(5, 3, 10, 20).unbind(1)  # (5, 10, 20) each
        query, key = layer.q_norm(query), layer.k_norm(key)
        heads = []
        for head in range(10):
            weights = (query[:, head] @ key[:, head].T / 20**0.5).softmax(dim=1)
            heads.append(weights @ value[:, head])
        expected = layer.proj(torch.cat(heads, dim=1))
        torch.testing.assert_close(layer(x)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "n_times", "said"),
    [
        (("Cz", "E17", "X"), 800, "expected names of electrodes, found E17, X"),
        (("Cz",), 900, "multiple of 200"),
        (("Cz",), 3400, "16 at most"),
    ],
)
def test_what_it_cannot_take_is_refused(channels, n_times, said):
    with pytest.raises(ValueError, match=said):
        LaBraMNetwork(channels, n_times)
