"""Tangent space: shrinkage of scikit-learn, a mean in closed form, and lengths as distances."""

import numpy as np
import pytest
import scipy
from sklearn.covariance import oas

from benchmark.probes.tangent import (
    TangentSpace,
    geometric_mean,
    shrunken_covariances,
    tangent_vectors,
)
from benchmark.probes.windows import Windows
from datamodules.inputs import SignalSpec


def definite(n: int, size: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, size, size + 2))
    return factors @ factors.transpose(0, 2, 1)


def distance(one: np.ndarray, two: np.ndarray) -> float:
    """Affine-invariant distance, from generalised eigenvalues."""
    return float(np.linalg.norm(np.log(scipy.linalg.eigvalsh(one, two))))


@pytest.mark.parametrize(("n_channels", "n_times"), [(2, 7), (5, 4), (6, 200)])
def test_covariances_are_those_of_scikit_learn(n_channels, n_times):
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(n_channels, n_channels))
    windows = (mixing @ rng.normal(2, 1, (3, n_channels, n_times))).astype(np.float32)
    for window, found in zip(windows, shrunken_covariances(windows), strict=True):
        expected, share = oas(window.T.astype(np.float64))
        assert share > 0
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_still_window_has_a_logarithm():
    windows = np.ones((2, 3, 10), np.float32)
    assert (np.linalg.eigvalsh(shrunken_covariances(windows)) > 0).all()


def test_mean_of_two_in_closed_form():
    one, two = definite(2, 4)
    root = np.real(scipy.linalg.sqrtm(one))
    inverse = np.linalg.inv(root)
    expected = root @ np.real(scipy.linalg.sqrtm(inverse @ two @ inverse)) @ root
    np.testing.assert_allclose(geometric_mean(np.stack([one, two])), expected, rtol=1e-6)


def test_mean_has_the_least_squared_distances_and_follows_a_change_of_axes():
    matrices = definite(9, 3)
    mean = geometric_mean(matrices)

    def spread(centre: np.ndarray) -> float:
        return sum(distance(matrix, centre) ** 2 for matrix in matrices)

    rng = np.random.default_rng(1)
    for _ in range(20):
        change = rng.normal(size=(3, 3))
        assert spread(mean) < spread(mean + 1e-2 * change @ change.T)
    mixing = rng.normal(size=(3, 3))
    mixed = geometric_mean(mixing @ matrices @ mixing.T)
    np.testing.assert_allclose(mixed, mixing @ mean @ mixing.T, rtol=1e-5)


def test_length_of_a_vector_is_the_distance_from_the_mean():
    matrices = definite(5, 4)
    mean = geometric_mean(matrices)
    vectors = tangent_vectors(matrices, mean)
    assert vectors.shape == (5, 10)
    expected = [distance(matrix, mean) for matrix in matrices]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), expected)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-6)


def made(seed: int) -> tuple[Windows, np.ndarray]:
    """Two signals of one rate, which move together in one of two classes."""
    rng = np.random.default_rng(seed)
    target = np.arange(80) % 2
    eeg, ecg = rng.normal(size=(80, 2, 50)), rng.normal(size=(80, 1, 50))
    eeg[:, :1] += target[:, None, None] * ecg
    inputs = {"eeg": SignalSpec(2, 50, 25.0), "ecg": SignalSpec(1, 50, 25.0)}
    arrays = {"eeg": eeg.astype(np.float32), "ecg": ecg.astype(np.float32)}
    return Windows.of(inputs, arrays), target


def test_signals_that_move_together_are_told_apart():
    fitted = TangentSpace(1.0).fit(*made(0))
    windows, target = made(1)
    assert (fitted.predict_proba(windows).argmax(axis=1) == target).mean() > 0.95
    assert fitted.mean.shape == (3, 3)
    assert fitted.size == 6 + 6 + 1
