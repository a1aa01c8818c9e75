"""LaBraM (Jiang et al. 2024): a transformer over seconds of EEG channels that it knows by name."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.encoders.patches import as_patches, count_patches

WIDTH, HIDDEN, LAYERS, HEADS, FILTERS = 200, 800, 12, 10, 8
"""Sizes of LaBraM-Base (table 6 of the paper)."""
SECONDS = 16
"""Largest number of patches of a channel that has a place in time."""
EPS = 1e-6
PLACES = """
    FP1 FPZ FP2 AF9 AF7 AF5 AF3 AF1 AFZ AF2 AF4 AF6 AF8 AF10
    F9 F7 F5 F3 F1 FZ F2 F4 F6 F8 F10
    FT9 FT7 FC5 FC3 FC1 FCZ FC2 FC4 FC6 FT8 FT10
    T9 T7 C5 C3 C1 CZ C2 C4 C6 T8 T10
    TP9 TP7 CP5 CP3 CP1 CPZ CP2 CP4 CP6 TP8 TP10
    P9 P7 P5 P3 P1 PZ P2 P4 P6 P8 P10
    PO9 PO7 PO5 PO3 PO1 POZ PO2 PO4 PO6 PO8 PO10
    O1 OZ O2 O9 CB1 CB2 IZ O10 T3 T5 T4 T6 M1 M2 A1 A2
    CFC1 CFC2 CFC3 CFC4 CFC5 CFC6 CFC7 CFC8 CCP1 CCP2 CCP3 CCP4 CCP5 CCP6 CCP7 CCP8
    T1 T2 FTT9H TTP7H TPP9H FTT10H TPP8H TPP10H
    FP1-F7 F7-T7 T7-P7 P7-O1 FP2-F8 F8-T8 T8-P8 P8-O2
"""
ELECTRODES = tuple(PLACES.split())
"""Names of the places on the head, in the order of the published weights; the place before the
first is that of the class token."""


class LaBraMNetwork(nn.Module):
    """LaBraM-Base: patches of one second, with places on the head and in time, and twelve layers.

    Weights have the names and shapes of the authors' pre-trained network (about 5.8 million, as the
    paper says), without what predicts codes from it. The embedding of a window is the mean of the
    last layer over patches, normalised by the layer that pre-training ends with; where the authors
    fine-tune, they put a new normalisation after the mean.

    Args:
        channels: Names of electrodes, in any case; those of 10-20 and 10-10 have a place.
        n_times: Number of samples in a window, at 200 Hz, a multiple of 200 up to 3200.

    Raises:
        ValueError: A channel that has no place, or windows that are not whole seconds, or too long.

    References:
        Jiang, Zhao, Lu: Large Brain Model for Learning Generic Representations with Tremendous EEG
        Data in BCI. ICLR 2024. https://arxiv.org/abs/2405.18765
    """

    places: Tensor

    def __init__(self, channels: Sequence[str], n_times: int) -> None:
        super().__init__()
        count_patches(n_times, SECONDS)
        unknown = [name for name in channels if name.upper() not in ELECTRODES]
        if unknown:
            raise ValueError(f"expected names of electrodes, found {', '.join(unknown)}")
        numbers = [1 + ELECTRODES.index(name.upper()) for name in channels]
        self.register_buffer("places", torch.tensor(numbers), persistent=False)
        self.patch_embed = TemporalConvolution()
        self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, 1 + len(ELECTRODES), WIDTH) * 0.02)
        self.time_embed = nn.Parameter(torch.randn(1, SECONDS, WIDTH) * 0.02)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, EPS)

    def forward(self, window: Tensor) -> Tensor:
        """Return embeddings (B, 200) of windows (B, C, T) in microvolts."""
        x = self.patch_embed(as_patches(window))  # (B, C, L, 200)
        on_head = self.pos_embed[0, self.places].unsqueeze(1)  # (C, 1, 200)
        x = x + on_head + self.time_embed[0, : x.shape[2]]
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([first, x.flatten(1, 2)], dim=1)  # (B, 1 + C L, 200)
        for block in self.blocks:
            x = block(x)
        embedding: Tensor = self.norm(x)[:, 1:].mean(dim=1)
        return embedding


class TemporalConvolution(nn.Module):
    """Three convolutions of each patch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, FILTERS, (1, 15), stride=(1, 8), padding=(0, 7))
        self.norm1 = nn.GroupNorm(4, FILTERS)
        self.conv2 = nn.Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1))
        self.norm2 = nn.GroupNorm(4, FILTERS)
        self.conv3 = nn.Conv2d(FILTERS, FILTERS, (1, 3), padding=(0, 1))
        self.norm3 = nn.GroupNorm(4, FILTERS)

    def forward(self, patches: Tensor) -> Tensor:
        """Return embeddings (B, C, L, 200) of patches (B, C, L, 200)."""
        x = patches.flatten(1, 2).unsqueeze(1)  # (B, 1, C L, 200)
        x = F.gelu(self.norm1(self.conv1(x)))  # (B, 8, C L, 25)
        x = F.gelu(self.norm2(self.conv2(x)))
        x = F.gelu(self.norm3(self.conv3(x)))
        return x.permute(0, 2, 3, 1).reshape(patches.shape)


class Block(nn.Module):
    """Attention and a hidden layer, each normalised before and scaled after."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, EPS), nn.LayerNorm(WIDTH, EPS)
        self.attn = Attention()
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(WIDTH, HIDDEN), "fc2": nn.Linear(HIDDEN, WIDTH)})
        self.gamma_1 = nn.Parameter(torch.full((WIDTH,), 0.1))
        self.gamma_2 = nn.Parameter(torch.full((WIDTH,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the next layer's input (B, N, 200)."""
        x = x + self.gamma_1 * self.attn(self.norm1(x))
        hidden = F.gelu(self.mlp["fc1"](self.norm2(x)))  # (B, N, 800)
        added: Tensor = self.mlp["fc2"](hidden)
        return x + self.gamma_2 * added


class Attention(nn.Module):
    """Attention of ten heads, whose queries and keys are normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.q_norm = nn.LayerNorm(WIDTH // HEADS, EPS)
        self.k_norm = nn.LayerNorm(WIDTH // HEADS, EPS)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Return what each of N places takes from all others, (B, N, 200)."""
        heads = self.qkv(x).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # (B, 10, N, 20) each
        taken = F.scaled_dot_product_attention(self.q_norm(query), self.k_norm(key), value)
        result: Tensor = self.proj(taken.transpose(1, 2).flatten(2))
        return result
