"""DGCNN, against the size and the outputs of braindecode."""

import numpy as np
import pytest
import torch

from datamodules.batch import SignalSpec
from datamodules.errors import IncompatibleRunError
from lightning_modules.dgcnn import DGCNN, DGCNNNetwork, GraphConvolution, LearnedGraph

SIZE = 1_021_384
"""Parameters of braindecode 1.8.1's on 62 electrodes, five features each, three classes."""

REFERENCE = [
    [2.4076212881382455, 0.5506535576092031, 1.2347364797426117],
    [1.035051383517523, 0.1713620436578298, 1.0551860382575906],
]
"""Logits of braindecode 1.8.1 for the weights and windows of ``drawn``, computed once by hand."""


def rows(n_sites, n_rows=1):
    return {"eeg_de": SignalSpec(5 * n_sites, n_rows, 0.25)}


def drawn(network, shape):
    """Give a network weights that do not depend on the framework, and return windows."""
    draws = np.random.RandomState(0)  # its numbers are the same in every version
    with torch.no_grad():
        for parameter in network.parameters():
            values = torch.from_numpy(np.asarray(draws.standard_normal(tuple(parameter.shape))))
            scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.2
            parameter.copy_(scale * values + (parameter.dim() < 2))
    return torch.from_numpy(draws.standard_normal(shape))


def test_as_many_parameters_as_the_reference():
    network = DGCNNNetwork(rows(62), 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == SIZE


def test_logits_of_the_reference():
    network = DGCNNNetwork(rows(6), 3).double()
    window = drawn(network, (2, 30, 1))
    logits = network.eval()({"eeg_de": window}).logits
    torch.testing.assert_close(logits, torch.tensor(REFERENCE, dtype=torch.float64))


def test_laplacian_of_a_graph_by_its_definition():
    graph = LearnedGraph(3)
    edges = torch.tensor([[0.0, 2.0, -5.0], [1.0, 0.0, 1.0], [0.0, 3.0, 1.0]])
    with torch.no_grad():
        graph.edges.copy_(edges)
    kept, degree = edges.clamp_min(0), [2.0, 2.0, 4.0]
    expected = [
        [float(i == j) - float(kept[i, j]) / (degree[i] * degree[j]) ** 0.5 for j in range(3)]
        for i in range(3)
    ]
    torch.testing.assert_close(graph(), torch.tensor(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_polynomials_are_those_of_chebyshev(order):
    """On an eigenvector the n-th polynomial of the matrix is that of its eigenvalue."""
    eigenvalue = 0.3
    layer = GraphConvolution(1, order, order)
    with torch.no_grad():
        layer.mix.weight.copy_(torch.eye(order))
        layer.mix.bias.fill_(10.0)  # so that ReLU cuts nothing
    features = layer(torch.ones(1, 1, 1), torch.tensor([[eigenvalue]]))[0, 0] - 10
    expected = np.cos(np.arange(order) * np.arccos(eigenvalue))
    np.testing.assert_allclose(features.detach(), expected, atol=1e-5)


def test_several_rows_are_the_mean_of_each_alone():
    network = DGCNNNetwork(rows(6, 4), 3).eval()
    alone = DGCNNNetwork(rows(6), 3).eval()
    alone.load_state_dict(network.state_dict())
    window = torch.randn(2, 30, 4)
    each = [alone({"eeg_de": window[:, :, row : row + 1]}).logits for row in range(4)]
    torch.testing.assert_close(network({"eeg_de": window}).logits, torch.stack(each).mean(dim=0))


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"eda": SignalSpec(1, 40, 4.0)},
        {"eeg": SignalSpec(8, 10, 1.0)},
        {"eeg_de": SignalSpec(11, 10, 0.25)},
        {**rows(6), "eeg": SignalSpec(6, 128, 128.0)},
    ],
)
def test_refusals(inputs):
    with pytest.raises(IncompatibleRunError, match="DGCNN takes"):
        DGCNN(inputs, 2)


def test_at_least_one_polynomial():
    with pytest.raises(ValueError, match="expected at least one polynomial"):
        DGCNN(rows(6), 2, order=0)


@pytest.mark.parametrize("inputs", ["eeg", "ten rows"], indirect=True)
def test_contract(contract, inputs):
    contract(DGCNN, inputs)


@pytest.mark.parametrize("mask", ["rows with sites", "computed"], indirect=True)
def test_padding_changes_nothing(mask):
    mask(DGCNN)


def test_noise_is_learned_by_heart(by_heart):
    by_heart(DGCNN)
