import ast
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from datamodules.signals import cvxeda, cvxeda_reference, interior_point
from datamodules.signals.cvxeda import Boundary, PhasicEDA, Program, TonicEDA, bounded, decompose
from datamodules.signals.recording import Signal

Array = npt.NDArray[np.float64]
BOUNDARIES: tuple[Boundary, ...] = ("free", "rest")
DEFAULTS = {"tau_slow": 2.0, "tau_fast": 0.7, "knot_interval": 10.0, "alpha": 8e-4, "gamma": 1e-2}


def burst(since: Array) -> Array:
    """The continuous response to an impulse, of height about 1."""
    return 4 * (since > 0) * (np.exp(-since / 2.0) - np.exp(-since / 0.7))


def made_up(n_times: int, sfreq: float, seed: int = 0) -> Array:
    """A wandering level in microsiemens, responses at random and the noise of a sensor."""
    rng = np.random.default_rng(seed)
    times = np.arange(n_times) / sfreq
    eda = 2 + 0.3 * np.sin(times / 23 + rng.uniform(0, 6)) + 0.002 * rng.standard_normal(n_times)
    onsets = rng.uniform(-5, times[-1], 1 + round(times[-1] / 6))
    for onset, size in zip(onsets, rng.exponential(0.1, len(onsets)), strict=True):
        eda += size * burst(times - onset)
    return eda


def shapes(n_times: int, sfreq: float) -> dict[str, Array]:
    rng = np.random.default_rng(n_times)
    at = np.arange(n_times)
    return {
        "eda": made_up(n_times, sfreq),
        "noise": rng.standard_normal(n_times),
        "walk": np.cumsum(rng.standard_normal(n_times)),
        "ramp": 0.1 * at,
        "fall": np.exp(-8.0 * at / n_times),
        "step": 1.0 * (at > n_times // 2),
        "steps": np.round(2 * np.sin(9 * at / n_times)),
        "spike": 1e6 * (at == n_times // 3) + rng.standard_normal(n_times),
        "dip": -1.0 * (at == n_times // 2),
        "first": 1.0 * (at == 0),
        "last": 1.0 * (at == n_times - 1),
        "alternating": (-1.0) ** at,
    }


def assemble(n_times: int, sfreq: float, boundary: Boundary) -> tuple[Array, Array, Array, Array]:
    """A, M, B, C, element by element as the equations say, without their empty rows."""
    step, a1, a0 = 1 / sfreq, 1 / 0.7, 1 / 2.0
    taps = np.array(
        [
            (a1 * step + 2) * (a0 * step + 2),
            2 * a1 * a0 * step**2 - 8,
            (a1 * step - 2) * (a0 * step - 2),
        ]
    ) / ((a1 - a0) * step**2)
    A, M = np.zeros((n_times, n_times)), np.zeros((n_times, n_times))
    for i in range(2 if boundary == "free" else 0, n_times):
        for lag in range(min(i, 2) + 1):
            A[i, i - lag], M[i, i - lag] = taps[lag], (1, 2, 1)[lag]
    K = round(10 / step)
    if boundary == "free":
        knots = [k for k in range(0, 2 * n_times, K) if k < n_times]
    else:
        knots = [k for k in range(0, 2 * n_times + K, K) if k < n_times + K / 2]
    triangle = np.array([max(0, K - abs(o)) for o in range(-K, K + 1)], dtype=np.float64)
    bump = np.convolve(triangle, triangle)
    bump /= bump.max()
    B = np.zeros((n_times, len(knots)))
    for column, knot in enumerate(knots):
        for i in range(max(0, knot - 2 * K), min(n_times, knot + 2 * K + 1)):
            B[i, column] = bump[i - knot + 2 * K]
    C = np.array([[1.0, (i + 1) / n_times] for i in range(n_times)])
    return A, M, B, C


def z_scored(values: Array) -> Array:
    return (values - values.mean()) / values.std()


def of(shape: str, n_times: int, sfreq: float) -> Array:
    return shapes(n_times, sfreq)[shape]


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(
    ("n_times", "sfreq"), [(3, 4.0), (10, 4.0), (10, 128.0), (130, 4.0), (300, 25.0)]
)
@pytest.mark.parametrize("shape", shapes(10, 4.0))
def test_optimality_conditions(shape: str, n_times: int, sfreq: float, boundary: Boundary) -> None:
    values = of(shape, n_times, sfreq)
    if np.ptp(values) == 0:
        pytest.skip("constant at this length")
    y = z_scored(values)
    alpha, gamma = DEFAULTS["alpha"], DEFAULTS["gamma"]
    program = Program(n_times, sfreq, boundary, **DEFAULTS)
    tonic, phasic, p, spline, _ = cvxeda.solve(y, program)
    A, M, B, C = assemble(n_times, sfreq, boundary)
    rows = slice(2 if boundary == "free" else 0, None)
    e = tonic + phasic - y
    objective = e @ e / 2 + alpha * p.sum() + gamma * (spline @ spline) / 2

    # primal feasibility: p and phasic come from one q, tonic from a spline and a line
    scale = 1 + np.abs(phasic).max()
    assert (p >= 0).all()
    stacked = np.concatenate([A[rows] / A.max(), M[rows]])
    both = np.concatenate([p[rows] / A.max(), phasic[rows]])
    q = np.linalg.lstsq(stacked, both, rcond=None)[0]
    assert stacked @ q == pytest.approx(both, abs=1e-8 * scale)
    assert np.all(p[: rows.start] == 0)
    assert np.all(phasic[: rows.start] == 0)
    line = np.linalg.lstsq(C, tonic - B @ spline, rcond=None)[0]
    assert B @ spline + C @ line == pytest.approx(tonic, abs=1e-9 * scale)

    # stationarity, which also gives the multipliers
    multipliers = alpha + np.linalg.lstsq(A[rows].T, M.T @ e, rcond=None)[0]
    assert A[rows].T @ (multipliers - alpha) == pytest.approx(M.T @ e, abs=1e-7 * scale)
    assert B.T @ e + gamma * spline == pytest.approx(0, abs=1e-7 * scale)
    assert C.T @ e == pytest.approx(0, abs=1e-7 * scale)

    # dual feasibility and complementarity; the multipliers carry the residual of stationarity
    assert multipliers.min() > -1e-5 * alpha
    gap = interior_point.RESIDUAL * objective + 1e-12 * n_times
    assert multipliers @ p[rows] == pytest.approx(0, abs=gap)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("n_times", "sfreq"), [(10, 4.0), (240, 4.0), (997, 15.5), (3000, 50.0)])
def test_is_as_good_as_cvxopt(n_times: int, sfreq: float, boundary: Boundary) -> None:
    for seed in range(3):
        eda = made_up(n_times, sfreq, seed)
        found = decompose(eda, sfreq, boundary=boundary)
        reference = decompose(eda, sfreq, boundary=boundary, solver=cvxeda_reference.solve)
        assert found.objective <= reference.objective * (1 + 1e-9)
        assert found.objective == pytest.approx(reference.objective, rel=1e-5, abs=1e-7)
        assert found.phasic == pytest.approx(reference.phasic, abs=1e-4 * eda.std())
        assert found.tonic == pytest.approx(reference.tonic, abs=1e-4 * eda.std())
        assert reference.driver.min() > -1e-5 * eda.std()


def test_other_options_agree_with_cvxopt() -> None:
    eda = made_up(500, 8.0)
    options = {"tau_slow": 4.0, "tau_fast": 0.5, "knot_interval": 6.0, "alpha": 0.4, "gamma": 1.0}
    found = decompose(eda, 8.0, **options)
    reference = decompose(eda, 8.0, **options, solver=cvxeda_reference.solve)
    assert found.objective <= reference.objective * (1 + 1e-9)
    assert found.phasic == pytest.approx(reference.phasic, abs=1e-4 * eda.std())
    for name in options:
        rest = {other: value for other, value in options.items() if other != name}
        assert decompose(eda, 8.0, **rest).objective != pytest.approx(found.objective, rel=1e-3)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_finds_the_bursts_that_were_planted(boundary: Boundary) -> None:
    sfreq, onsets = 25.0, (8.0, 21.0, 37.0, 52.0)
    times = np.arange(1500) / sfreq
    phasic = sum(0.4 * burst(times - onset) for onset in onsets)
    assert isinstance(phasic, np.ndarray)
    found = decompose(5 + 0.01 * times + phasic, sfreq, boundary=boundary)
    assert np.corrcoef(found.phasic, phasic)[0, 1] > 0.999
    peaks = [
        times[abs(times - onset) < 3][found.driver[abs(times - onset) < 3].argmax()]
        for onset in onsets
    ]
    assert peaks == pytest.approx(onsets, abs=0.1)
    near = np.min([abs(times - onset) for onset in onsets], axis=0) < 0.5
    assert found.driver[near].sum() > 0.95 * found.driver.sum()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_follows_unit_and_offset(boundary: Boundary) -> None:
    eda = made_up(400, 4.0)
    one = decompose(eda, 4.0, boundary=boundary)
    other = decompose(1000 * eda - 700, 4.0, boundary=boundary)
    assert other.objective == pytest.approx(one.objective, rel=1e-9)
    assert other.tonic == pytest.approx(1000 * one.tonic - 700, abs=1e-3 * eda.std())
    assert other.phasic == pytest.approx(1000 * one.phasic, abs=1e-3 * eda.std())
    assert other.driver == pytest.approx(1000 * one.driver, abs=1e-2 * one.driver.max())


@pytest.mark.parametrize("unit", [1e-200, 1e-6, 1e12, 1e200])
def test_any_unit_will_do(unit: float) -> None:
    eda = made_up(200, 4.0)
    found = decompose(unit * eda, 4.0)
    assert found.phasic / unit == pytest.approx(decompose(eda, 4.0).phasic, abs=1e-6)


def test_parts_add_up() -> None:
    eda = made_up(1200, 8.0)
    found = decompose(eda, 8.0)
    residual = eda - found.tonic - found.phasic
    assert residual.std() < 0.01
    assert abs(residual.mean()) < 1e-9
    for part in (found.tonic, found.phasic, found.driver):
        assert part.shape == eda.shape
        assert part.dtype == np.float64
    least = residual @ residual / eda.var() / 2 + DEFAULTS["alpha"] * found.driver.sum() / eda.std()
    assert least < found.objective < 1.5 * least


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("value", [0.0, -3.0, 0.1, 1e300])
@pytest.mark.parametrize("n_times", [3, 10, 500])
def test_constants_are_tonic(n_times: int, value: float, boundary: Boundary) -> None:
    found = decompose(np.full(n_times, value), 4.0, boundary=boundary)
    assert np.array_equal(found.tonic, np.full(n_times, value))
    assert not found.phasic.any()
    assert not found.driver.any()
    assert found.objective == 0


def test_all_but_constant() -> None:
    eda = np.full(100, 0.1)
    eda[60:] = np.nextafter(0.1, 1)
    found = decompose(eda, 4.0)
    assert found.tonic + found.phasic == pytest.approx(eda, rel=1e-14)


@pytest.mark.parametrize("sfreq", [4.0, 32.0, 128.0])
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_line_is_tonic(sfreq: float, boundary: Boundary) -> None:
    ramp = 3 - 0.01 * np.arange(700)
    found = decompose(ramp, sfreq, boundary=boundary)
    assert found.tonic == pytest.approx(ramp, abs=1e-5)
    assert found.phasic == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(bad: float) -> None:
    eda = made_up(50, 4.0)
    eda[[17, 30]] = bad
    with pytest.raises(ValueError, match=r"found 2 that are NaN or infinite, the first at 17"):
        decompose(eda, 4.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boundary": "2025"}, "boundary"),
        ({"tau_fast": 2.0}, "tau_fast < tau_slow"),
        ({"tau_fast": 0.0}, "tau_fast < tau_slow"),
        ({"knot_interval": 0.2}, "between knots"),
        ({"sfreq": 0.0}, "positive rate"),
        ({"sfreq": np.nan}, "positive rate"),
        ({"alpha": 0.0}, "positive costs"),
        ({"gamma": -1.0}, "positive costs"),
        ({"eda": np.zeros((1, 50))}, r"shape \(1, 50\)"),
        ({"eda": np.zeros(2)}, "3 samples or more, found 2"),
    ],
)
def test_wrong_calls(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decompose(**{"eda": made_up(50, 4.0), "sfreq": 4.0, **change})


def test_threads_do_not_meddle() -> None:
    signals = [made_up(n_times, 4.0, seed=n_times) for n_times in range(100, 400, 10)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda eda: decompose(eda, 4.0), signals))
    for eda, found in zip(signals, together, strict=True):
        alone = decompose(eda, 4.0)
        assert np.array_equal(found.phasic, alone.phasic)
        assert found.objective == alone.objective


def test_compiled_code_lets_other_threads_run() -> None:
    assert interior_point.minimise.targetoptions["nogil"]  # type: ignore[attr-defined]


def test_only_the_reference_needs_cvxopt() -> None:
    for module in (cvxeda, interior_point):
        assert module.__file__
        tree = ast.parse(Path(module.__file__).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                source = node.module if isinstance(node, ast.ImportFrom) else ""
                names = [source or "", *(alias.name for alias in node.names)]
                assert not any("cvxopt" in name or "reference" in name for name in names)


def as_signal(eda: Array, sfreq: float = 4.0) -> Signal:
    return Signal(eda[None].astype(np.float32), sfreq, ("eda",), "uS")


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_steps(boundary: Boundary) -> None:
    signal = as_signal(made_up(600, 4.0))
    found = decompose(signal.samples[0], 4.0, boundary=boundary)
    tonic = np.maximum(found.tonic, signal.samples.min())
    for step, name, part in (
        (TonicEDA(boundary), "tonic", tonic),
        (PhasicEDA(boundary), "phasic", found.phasic - (tonic - found.tonic)),
    ):
        made = step(signal)
        assert (made.sfreq, made.channels, made.unit) == (4.0, (name,), "uS")
        grain = 2.0**-32 * 2 * signal.samples.max()
        np.testing.assert_allclose(made.samples, part[None], rtol=1e-7, atol=grain)
        assert step.shape(1, 4.0) == (1, 4.0)
        assert boundary in repr(step)
    assert TonicEDA() == TonicEDA("free")
    assert PhasicEDA() == PhasicEDA("free")


def test_a_jump_does_not_throw_the_level_below_the_signal() -> None:
    """An electrode that moves: cvxEDA alone falls far below zero."""
    rng = np.random.default_rng(0)
    eda = 0.3 + 0.002 * rng.normal(size=4 * 600)
    eda[1200:1204] = 2.5
    eda[1500:1540] = 0.02
    alone = decompose(eda, 4.0)
    assert alone.tonic.min() < -0.5
    signal = as_signal(eda.astype(np.float32))
    tonic, phasic = TonicEDA()(signal).samples[0], PhasicEDA()(signal).samples[0]
    assert tonic.min() >= signal.samples.min()
    assert phasic.max() < 2.6
    np.testing.assert_allclose(tonic + phasic, alone.tonic + alone.phasic, atol=1e-5)


def test_both_steps_cost_one_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*args: object, **options: object) -> cvxeda.Decomposition:
        calls.append(options)
        return decompose(*args, **options)

    monkeypatch.setattr(cvxeda, "decompose", counted)
    signal = as_signal(made_up(123, 4.0, seed=99))
    TonicEDA()(signal)
    PhasicEDA()(signal)
    assert len(calls) == 1
    PhasicEDA("rest")(signal)
    assert len(calls) == 2
    PhasicEDA()(as_signal(signal.samples[0] + 1))
    assert len(calls) == 3
    PhasicEDA()(as_signal(signal.samples[0], sfreq=5.0))
    assert len(calls) == 4


def test_steps_take_one_channel() -> None:
    signal = Signal(np.zeros((2, 50), np.float32), 4.0, ("left", "right"), "uS")
    for step in (TonicEDA(), PhasicEDA()):
        with pytest.raises(ValueError, match="one channel"):
            step(signal)


def test_a_last_bit_of_the_solver_is_not_seen_in_the_steps() -> None:
    """Sums of products may end in another bit in another process; beside zero it would show."""
    rng = np.random.default_rng(0)
    samples = (4 + np.cumsum(rng.normal(0, 0.01, 400))).astype(np.float32)
    signal = Signal(samples[None], 4.0, ("eda",), "uS")
    parts = decompose(samples, 4.0)
    quiet = parts.phasic * (np.arange(400) % 2)
    last_bit = rng.uniform(-1e-15, 1e-15, 400)
    assert not np.array_equal((quiet + last_bit).astype(np.float32), quiet.astype(np.float32))
    before = bounded(signal, replace(parts, phasic=quiet))
    after = bounded(signal, replace(parts, phasic=quiet + last_bit, tonic=parts.tonic + last_bit))
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.astype(np.float32), other.astype(np.float32))
    np.testing.assert_allclose(before[0] + before[1], parts.tonic + quiet, atol=4e-9)
