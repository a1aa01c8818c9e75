"""CBraMod (Wang et al. 2025): attention over EEG channels and over time, side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_modules.encoders.patches import SAMPLES, as_patches, count_patches

WIDTH, HIDDEN, LAYERS, HEADS = 200, 800, 12, 8
"""Sizes of the published network (section 3.1 of the paper)."""
FILTERS, GROUPS = 25, 5
"""Filters of the convolutions of a patch, and groups of their normalisation."""
NEIGHBOURS = (19, 7)
"""Channels and patches that a position is told by."""


class CBraModNetwork(nn.Module):
    """Patches of one second, embedded in time and frequency, and twelve criss-cross layers.

    Weights have the names and shapes of the authors' file (4,924,000 values with the layer that
    reconstructs patches, which is left out here). The embedding of a window is the mean over
    channels and patches of what the last layer gives; the authors train a classifier of their own
    on all patches in a row, whose size depends on the window.

    Args:
        channels: Names of the channels; they may be any.
        n_times: Number of samples in a window, at 200 Hz, a multiple of 200.

    Raises:
        ValueError: Windows that are not whole seconds.

    References:
        Wang, Zhao, Luo, Zhou, Jiang, Li, Li, Pan: CBraMod: A Criss-Cross Brain Foundation Model for
        EEG Decoding. ICLR 2025. https://arxiv.org/abs/2412.07236
    """

    def __init__(self, channels: Sequence[str], n_times: int) -> None:
        super().__init__()
        count_patches(n_times)
        self.patch_embedding = PatchEmbedding()
        layers = nn.ModuleList(CrissCross() for _ in range(LAYERS))
        self.encoder = nn.ModuleDict({"layers": layers})

    def forward(self, window: Tensor) -> Tensor:
        """Return embeddings (B, 200) of windows (B, C, T) in microvolts."""
        x: Tensor = self.patch_embedding(as_patches(window))  # (B, C, L, 200)
        x = nn.Sequential(*self.encoder["layers"].children())(x)
        return x.mean(dim=(1, 2))


class PatchEmbedding(nn.Module):
    """Convolutions of each patch, plus its amplitude spectrum, plus where it is among others."""

    def __init__(self) -> None:
        super().__init__()
        around = (NEIGHBOURS[0] // 2, NEIGHBOURS[1] // 2)
        self.positional_encoding = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, NEIGHBOURS, padding=around, groups=WIDTH)
        )
        self.proj_in = nn.Sequential(
            nn.Conv2d(1, FILTERS, (1, 49), stride=(1, 25), padding=(0, 24)),
            nn.GroupNorm(GROUPS, FILTERS),
            nn.GELU(),
            nn.Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1)),
            nn.GroupNorm(GROUPS, FILTERS),
            nn.GELU(),
            nn.Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1)),
            nn.GroupNorm(GROUPS, FILTERS),
            nn.GELU(),
        )
        self.spectral_proj = nn.Sequential(nn.Linear(SAMPLES // 2 + 1, WIDTH))

    def forward(self, patches: Tensor) -> Tensor:
        """Return embeddings (B, C, L, 200) of patches (B, C, L, 200)."""
        filtered: Tensor = self.proj_in(patches.flatten(1, 2).unsqueeze(1))  # (B, 25, C L, 8)
        filtered = filtered.permute(0, 2, 1, 3).reshape(patches.shape)
        spectrum = torch.fft.rfft(patches, norm="forward").abs()  # (B, C, L, 101)
        x: Tensor = filtered + self.spectral_proj(spectrum)
        places: Tensor = self.positional_encoding(x.permute(0, 3, 1, 2))  # (B, 200, C, L)
        return x + places.permute(0, 2, 3, 1)


class CrissCross(nn.Module):
    """Half of the width attends to other channels of its second, half to other seconds."""

    def __init__(self) -> None:
        super().__init__()
        half, heads = WIDTH // 2, HEADS // 2
        self.self_attn_s = nn.MultiheadAttention(half, heads, batch_first=True)
        self.self_attn_t = nn.MultiheadAttention(half, heads, batch_first=True)
        self.linear1, self.linear2 = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return the next layer's input (B, C, L, 200)."""
        space, time = self.norm1(x).chunk(2, dim=3)  # (B, C, L, 100) each
        by_second = space.transpose(1, 2)  # (B, L, C, 100)
        space = by_second.flatten(0, 1)  # (B L, C, 100)
        space = self.self_attn_s(space, space, space, need_weights=False)[0]
        space = space.reshape(by_second.shape).transpose(1, 2)
        by_channel = time.flatten(0, 1)  # (B C, L, 100)
        by_channel = self.self_attn_t(by_channel, by_channel, by_channel, need_weights=False)[0]
        x = x + torch.cat([space, by_channel.reshape(time.shape)], dim=3)
        hidden = nn.functional.gelu(self.linear1(self.norm2(x)))  # (B, C, L, 800)
        added: Tensor = self.linear2(hidden)
        return x + added
