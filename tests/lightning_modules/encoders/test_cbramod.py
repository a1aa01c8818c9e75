"""CBraMod: names and number of the published weights, and what may see what."""

import pytest
import torch

from lightning_modules.encoders.cbramod import CBraModNetwork, CrissCross, PatchEmbedding

CHANNELS = ("Fp1", "Cz", "O2")
PUBLISHED = 4_924_000
"""Values in the published file, as braindecode's table of models counts them too."""
LEFT_OUT = 200 + (200 * 200 + 200)
"""Values of the token of a masked patch, and of the layer that reconstructs patches."""


@pytest.fixture(scope="module")
def network() -> CBraModNetwork:
    torch.manual_seed(0)
    return CBraModNetwork(CHANNELS, 800).eval()


def test_size_is_the_published_one(network):
    assert sum(values.numel() for values in network.parameters()) == PUBLISHED - LEFT_OUT


def test_weights_have_the_published_names_and_shapes(network):
    shapes = {name: tuple(values.shape) for name, values in network.state_dict().items()}
    embedding = {name for name in shapes if name.startswith("patch_embedding.")}
    assert embedding == {
        f"patch_embedding.{layer}.{kind}"
        for layer in (
            *("positional_encoding.0", "spectral_proj.0"),
            *(f"proj_in.{place}" for place in (0, 1, 3, 4, 6, 7)),
        )
        for kind in ("weight", "bias")
    }
    assert shapes["patch_embedding.positional_encoding.0.weight"] == (200, 1, 19, 7)
    assert shapes["patch_embedding.proj_in.0.weight"] == (25, 1, 1, 49)
    assert shapes["patch_embedding.spectral_proj.0.weight"] == (200, 101)
    layers = {
        f"encoder.layers.{number}.{name}"
        for number in range(12)
        for name in (
            *(f"self_attn_{axis}.in_proj_{kind}" for axis in "st" for kind in ("weight", "bias")),
            *(f"self_attn_{axis}.out_proj.{kind}" for axis in "st" for kind in ("weight", "bias")),
            *(
                f"{layer}.{kind}"
                for layer in ("linear1", "linear2", "norm1", "norm2")
                for kind in ("weight", "bias")
            ),
        )
    }
    assert set(shapes) == embedding | layers
    assert shapes["encoder.layers.11.self_attn_t.in_proj_weight"] == (300, 100)
    assert shapes["encoder.layers.0.linear1.weight"] == (800, 200)


def test_embedding_is_one_vector_a_window(network):
    windows = torch.randn(3, 3, 800) * 40
    with torch.no_grad():
        embeddings = network(windows)
        assert embeddings.shape == (3, 200)
        torch.testing.assert_close(network(windows[1:2]), embeddings[1:2], rtol=1e-4, atol=1e-5)


def test_half_of_the_width_sees_channels_of_a_second_and_half_sees_seconds_of_a_channel():
    torch.manual_seed(1)
    layer = CrissCross().eval()
    x = torch.randn(1, 4, 5, 200)
    other = x.clone()
    other[0, 2, 3] += torch.randn(200)

    with torch.no_grad():
        changed = (layer(x) - layer(other)).abs().amax(dim=3)[0] > 1e-7
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[2] = expected[:, 3] = True
    assert torch.equal(changed, expected)


def test_spectrum_is_the_amplitude_of_each_frequency():
    torch.manual_seed(2)
    embedding = PatchEmbedding().eval()
    for values in embedding.parameters():
        values.data.zero_()
    embedding.spectral_proj[0].weight.data[:101] = torch.eye(101)
    times = torch.arange(200) / 200
    patch = 3 * torch.cos(2 * torch.pi * 12 * times)
    with torch.no_grad():
        x = embedding(patch.reshape(1, 1, 1, 200))[0, 0, 0]
    expected = torch.zeros(200)
    expected[12] = 1.5  # half of the amplitude, on each side of the spectrum
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-5)


def test_windows_of_parts_of_a_second_are_refused():
    with pytest.raises(ValueError, match="multiple of 200"):
        CBraModNetwork(CHANNELS, 850)
