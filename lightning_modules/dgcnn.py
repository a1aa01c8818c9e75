"""DGCNN on EEG features (Song et al. 2018): a graph of electrodes whose edges are learned."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from datamodules.batch import EEG_BANDS, LENGTH, Front, Inputs, kind_of
from datamodules.errors import IncompatibleRunError
from lightning_modules.base import EmotionClassifier, Output
from lightning_modules.feature_rows.frames import ROW_RATE
from lightning_modules.recipe import Recipe
from lightning_modules.row_classifier import RowNetwork

N_FILTERS = 64
"""Number of features of an electrode after the graph convolution."""

ORDER = 2
"""Number of Chebyshev polynomials: an electrode reads itself and its neighbours."""

WIDTH = 256
"""Number of units between graph and classes."""

DROPOUT = 0.5

SMALLEST = 1e-5
"""Term in the denominator of the graph's normalisation."""

PUBLISHED = Recipe(
    source="this project's, as the paper gives no learning rate, batch size or number of epochs; "
    "the L2 penalty is the paper's, its weight ours",
    window=40.0,
    stride=20.0,
    lr=1e-3,
    weight_decay=1e-4,
    batch_size=32,
    max_epochs=100,
    patience=10,
)

FAST = replace(PUBLISHED, max_epochs=25, patience=6)


class LearnedGraph(nn.Module):
    """Edges between electrodes, learned with the network; gives the graph's Laplacian.

    Edges may have a direction. What would be a negative edge is none.

    Args:
        n_sites: Number of electrodes, S.
    """

    def __init__(self, n_sites: int) -> None:
        super().__init__()
        self.edges = nn.Parameter(torch.empty(n_sites, n_sites))
        self.bias = nn.Parameter(torch.zeros(()))
        nn.init.xavier_normal_(self.edges)

    def forward(self) -> Tensor:
        """Return I - D^-1/2 W D^-1/2, shape (S, S)."""
        edges = (self.edges + self.bias).relu()  # (S, S)
        scale = 1 / (edges.sum(dim=1).sqrt() + SMALLEST)  # (S)
        laplacian = torch.eye(len(edges), device=edges.device) - scale[:, None] * edges * scale
        return laplacian


class GraphConvolution(nn.Module):
    """Chebyshev polynomials of the Laplacian, mixed with the bands by one linear layer, and ReLU.

    Args:
        n_inputs: Number of features of an electrode, G.
        n_outputs: Number of features of an electrode after it.
        order: Number of polynomials, from the constant one up.
    """

    def __init__(self, n_inputs: int, n_outputs: int, order: int) -> None:
        super().__init__()
        self.order = order
        self.mix = nn.Linear(order * n_inputs, n_outputs)
        nn.init.zeros_(self.mix.bias)

    def forward(self, features: Tensor, laplacian: Tensor) -> Tensor:
        """Return features (B, S, D) of features (B, S, G) and a Laplacian (S, S)."""
        terms = [features, laplacian @ features][: self.order]
        while len(terms) < self.order:
            terms.append(2 * laplacian @ terms[-1] - terms[-2])
        return torch.relu(self.mix(torch.cat(terms, dim=2)))


class DGCNNNetwork(RowNetwork):
    """A graph convolution over the electrodes of each feature row, two linear layers, a mean.

    Args:
        inputs: EEG, or its features; see FeatureRows.
        n_classes: Number of classes, K.
        order: Number of Chebyshev polynomials, at least 1.

    Raises:
        ValueError: Fewer than one polynomial.
    """

    def __init__(self, inputs: Inputs, n_classes: int, order: int = ORDER) -> None:
        super().__init__(inputs)
        if order < 1:
            raise ValueError(f"expected at least one polynomial, found order {order}")
        groups, sites = self.rows.layout
        self.graph = LearnedGraph(sites)
        self.convolution = GraphConvolution(groups, N_FILTERS, order)
        self.dense = nn.Sequential(
            nn.Linear(sites * N_FILTERS, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT)
        )
        self.head = nn.Linear(WIDTH, n_classes)

    def forward(self, signals: Mapping[str, Tensor]) -> Output:
        valid = self.rows.valid(signals)  # (B, R)
        maps = self.rows.maps(self.rows(signals))  # (B, G, S, R)
        rows = maps.permute(0, 3, 2, 1)  # (B, R, S, G)
        features = self.convolution(rows.flatten(0, 1), self.graph())  # (B R, S, 64)
        hidden = self.dense(features.flatten(1)).unflatten(0, rows.shape[:2])  # (B, R, 256)
        if valid is None:
            embedding = hidden.mean(dim=1)  # (B, 256)
        else:
            share = valid.float() / valid.sum(dim=1, keepdim=True)  # (B, R)
            embedding = (hidden * share[:, :, None]).sum(dim=1)  # (B, 256)
        return Output(self.head(embedding), embedding)


class DGCNN(EmotionClassifier):
    """DGCNN on differential entropies of EEG: a graph of electrodes whose edges are learned.

    Each electrode is a node with five features, the differential entropies of five bands. A second
    order Chebyshev filter of the graph, 64 features a node, ReLU, a linear layer of 256 units and
    one for the classes. The graph is one for all windows and learned like any weight.

    Departures from the paper, and why:

    * A window has several feature rows, where the paper's samples are of one row. Each row goes
      through the network; the mean over rows of the 256 units is classified, which is the mean of
      the rows' logits. One row is the paper's case.
    * Edges start at random: no places of electrodes are asked for, and recordings need no names.
    * The Laplacian is not rescaled to -1 ... 1 by its largest eigenvalue. Sizes, Laplacian, and
      dropout of half of the 256 units are those of braindecode's implementation, which follows the
      authors' code; that implementation itself asks for the places of electrodes.
    * Features are standardised by running statistics, see FeatureRows, and ``eeg_de`` as recorded.
    * The step size of edges is that of all weights.

    Args:
        inputs: ``"eeg_de"`` with five bands an electrode, or ``"eeg"``; with ``LENGTH`` where there
            is a mask.
        n_classes: Number of classes, K.
        order: Number of Chebyshev polynomials, K in the paper.
        recipe: Recipe by which the network is trained.

    Raises:
        IncompatibleRunError: See ``check_inputs``.
        ValueError: Fewer than one polynomial.

    References:
        Song, Zheng, Song and Cui, EEG Emotion Recognition Using Dynamical Graph Convolutional
        Neural Networks, IEEE TAC 11(3) (2020) 532-541.
    """

    prefers = (("eeg_de",), ("eeg",))
    published = PUBLISHED
    fast = FAST
    masks = True

    def __init__(
        self, inputs: Inputs, n_classes: int, order: int = ORDER, recipe: Recipe = PUBLISHED
    ) -> None:
        self.check_inputs(inputs)
        super().__init__(DGCNNNetwork(inputs, n_classes, order), n_classes, recipe)
        self.save_hyperparameters()

    @property
    def front(self) -> Front | None:
        """Features; None where the signal is feature rows already."""
        network = self.network
        assert isinstance(network, DGCNNNetwork)
        return network.rows.front

    @classmethod
    def check_inputs(cls, inputs: Inputs) -> None:
        """Raise IncompatibleRunError unless there is one signal, EEG or five bands of it."""
        super().check_inputs(inputs)
        signals = {name: spec for name, spec in inputs.items() if name != LENGTH}
        if len(signals) != 1:
            raise IncompatibleRunError(
                f"{cls.__name__} takes one signal of EEG, found {', '.join(signals) or 'none'}"
            )
        ((name, spec),) = signals.items()
        kind = kind_of(name)
        bands = len(EEG_BANDS)
        rows = kind == "de" and spec.n_channels % bands == 0
        if not rows and not (kind == "eeg" and spec.sfreq > ROW_RATE):
            raise IncompatibleRunError(
                f"{cls.__name__} takes EEG faster than {ROW_RATE:g} Hz, or features of {bands} "
                f"bands an electrode, found {name} with {spec.n_channels} channels at "
                f"{spec.sfreq:g} Hz"
            )
