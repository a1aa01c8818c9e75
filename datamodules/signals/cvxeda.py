"""cvxEDA: skin conductance as tonic + phasic + residual, the phasic part driven by sweat glands.

    decomposition = decompose(eda, sfreq)
    decomposition.tonic, decomposition.phasic, decomposition.driver

The driver, a train of bursts of the sudomotor nerve, is not negative; a filter of second order
makes the phasic part from it; splines and a line make the tonic part. A convex quadratic program
weighs the size of the residual against that of the driver and of the splines, so that there is one
answer, and ``interior_point`` finds it. Written from the equations of the article.

``decompose`` lets other threads run, so that a pool of threads is all it takes for many signals.

References:
    A. Greco, G. Valenza, A. Lanata, E. P. Scilingo, L. Citi, "cvxEDA: a convex optimization
    approach to electrodermal activity processing", IEEE Transactions on Biomedical Engineering 63,
    2016, doi 10.1109/TBME.2015.2474131. Please cite it if you use the decomposition.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.signals.recording import Signal
from datamodules.signals.steps import Step

if TYPE_CHECKING:  # else it is imported when a signal is decomposed: its compiler takes a while
    from datamodules.signals.interior_point import System

Array = npt.NDArray[np.float64]

Boundary = Literal["free", "rest"]
"""Assumption about the time before a signal.

``"free"``: no equation binds samples 0 and 1, so that a response from before the recording may die
away in it, and knots end with the signal. cvxEDA did so until January 2025. ``"rest"``: there was
no response before, and knots continue for half an interval. cvxEDA has done so since. ``"free"`` is
the default, as published results rest on it, and as trials are cut from a session in which the
sweat glands were not at rest.
"""

MIN_SAMPLES = 3
"""Shortest signal: the filter reaches over three samples."""


@dataclass(frozen=True)
class Program:
    """The quadratic program of all signals of one length, rate and set of options.

    minimise |M q + B l + C d - y|^2 / 2 + alpha sum(A q) + gamma |l|^2 / 2 with A q >= 0

    Args:
        n_times: T, the length of a signal.
        sfreq: Sampling rate in Hz.
        boundary: Assumption about the time before a signal.
        tau_slow: Time constant of the decay of a response, in seconds.
        tau_fast: Time constant of its rise, in seconds.
        knot_interval: Seconds between knots of the tonic splines.
        alpha: Cost of the driver.
        gamma: Cost of the squares of the spline coefficients.

    Raises:
        ValueError: Too short a signal, or an option beyond its range.
    """

    n_times: int
    sfreq: float
    boundary: Boundary
    tau_slow: float
    tau_fast: float
    knot_interval: float
    alpha: float
    gamma: float

    def __post_init__(self) -> None:
        if self.n_times < MIN_SAMPLES:
            raise ValueError(f"expected {MIN_SAMPLES} samples or more, found {self.n_times}")
        if self.boundary not in ("free", "rest"):
            raise ValueError(f"expected the boundary 'free' or 'rest', found {self.boundary!r}")
        if not 0 < self.tau_fast < self.tau_slow < np.inf:
            raise ValueError(
                f"expected 0 < tau_fast < tau_slow, found {self.tau_fast} and {self.tau_slow} s"
            )
        if not (0 < self.sfreq < np.inf and 1 <= self.knot_interval * self.sfreq < np.inf):
            raise ValueError(
                "expected a positive rate and at least a sample between knots, found "
                f"{self.sfreq} Hz and {self.knot_interval} s"
            )
        if not (0 < self.alpha < np.inf and 0 < self.gamma < np.inf):
            raise ValueError(f"expected positive costs, found {self.alpha} and {self.gamma}")

    @cached_property
    def filter(self) -> tuple[float, float, float]:
        """Elements of a row of A: the weights of q_i, q_(i-1) and q_(i-2) in p_i."""
        step = 1 / self.sfreq
        fast, slow = step / self.tau_fast, step / self.tau_slow
        scale = (1 / self.tau_fast - 1 / self.tau_slow) * step**2
        return (
            (fast + 2) * (slow + 2) / scale,
            (2 * fast * slow - 8) / scale,
            (fast - 2) * (slow - 2) / scale,
        )

    @property
    def first(self) -> int:
        """First row of A and M that is not empty."""
        return 2 if self.boundary == "free" else 0

    @property
    def spacing(self) -> int:
        """K, samples between knots."""
        return round(self.knot_interval * self.sfreq)

    @cached_property
    def knots(self) -> npt.NDArray[np.int64]:
        """Samples on which the splines are centred, shape (n_knots,)."""
        overhang = self.spacing / 2 if self.boundary == "rest" else 0
        return np.arange(0, np.ceil(self.n_times + overhang), self.spacing).astype(np.int64)

    @cached_property
    def bump(self) -> Array:
        """A spline from 2 K - 2 samples before its knot to as many after; it is 0 beyond."""
        triangle = self.spacing - np.abs(np.arange(1.0 - self.spacing, self.spacing))
        bump: Array = np.convolve(triangle, triangle)
        bump /= bump.max()
        return bump


class Solution(NamedTuple):
    """The minimum for one signal.

    Attributes:
        tonic: B l + C d, shape (T,).
        phasic: M q, shape (T,).
        driver: A q, shape (T,).
        coefficients: l, shape (n_knots,).
        iterations: Number of iterations of the solver.
    """

    tonic: Array
    phasic: Array
    driver: Array
    coefficients: Array
    iterations: int


Solver = Callable[[Array, Program], Solution]
"""A function from a z-scored signal of shape (T,) and a program to the minimum."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """Skin conductance = tonic + phasic + residual.

    Attributes:
        tonic: Slow level, shape (T,), in the unit of the signal.
        phasic: Responses, shape (T,), in the unit of the signal.
        driver: Input of the filter that gives ``phasic``, shape (T,), on the same scale.
        objective: Objective of the program, which is that of the z-scored signal.
        iterations: Number of iterations of the solver.
    """

    tonic: Array
    phasic: Array
    driver: Array
    objective: float
    iterations: int


def solve(y: Array, program: Program) -> Solution:
    """Minimise to 1e-10 of the objective, in time and memory linear in the length.

    Args:
        y: Z-scored signal, shape (T,).
        program: Program to minimise.

    Returns:
        The minimum; its driver is above zero, if often only by rounding.

    Raises:
        ArithmeticError: No convergence.
    """
    from datamodules.signals.interior_point import MAX_ITERATIONS, minimise

    scale = program.filter[0]
    point, phasic, residual, iterations = minimise(_system(program), y, 1 / scale)
    if iterations == MAX_ITERATIONS:
        raise ArithmeticError(
            f"expected convergence in {MAX_ITERATIONS} iterations, found none for {program}; "
            "look at the signal, or use the reference solver"
        )
    return Solution(
        tonic=y + residual - phasic,
        phasic=phasic,
        driver=point.p * scale,
        coefficients=point.border[5 : 5 + len(program.knots)],
        iterations=iterations,
    )


def decompose(
    eda: npt.ArrayLike,
    sfreq: float,
    *,
    boundary: Boundary = "free",
    tau_slow: float = 2.0,
    tau_fast: float = 0.7,
    knot_interval: float = 10.0,
    alpha: float = 8e-4,
    gamma: float = 1e-2,
    solver: Solver = solve,
) -> Decomposition:
    """Split skin conductance in tonic and phasic parts.

    The signal is z-scored first, as cvxEDA expects it, and the parts are scaled back; so they
    follow every change of unit and offset. Constants are tonic.

    Args:
        eda: Skin conductance in any unit, shape (T,), from 3 samples on.
        sfreq: Sampling rate in Hz.
        boundary: Assumption about the time before the signal, see ``Boundary``.
        tau_slow: Time constant of the decay of a response, in seconds.
        tau_fast: Time constant of its rise, in seconds.
        knot_interval: Seconds between knots of the tonic splines.
        alpha: Cost of the driver; cvxEDA had 0.4 until February 2017.
        gamma: Cost of the squares of the spline coefficients.
        solver: ``solve``, or ``cvxeda_reference.solve``.

    Returns:
        The parts, in float64.

    Raises:
        ValueError: A signal that is not one-dimensional, too short or not finite, or an option
            beyond its range.
        ArithmeticError: No convergence.
    """
    signal = np.asarray(eda, np.float64)
    if signal.ndim != 1:
        raise ValueError(f"expected one channel of shape (T,), found shape {signal.shape}")
    program = Program(len(signal), sfreq, boundary, tau_slow, tau_fast, knot_interval, alpha, gamma)
    if not np.isfinite(signal).all():
        positions = np.flatnonzero(~np.isfinite(signal))
        raise ValueError(
            f"expected finite samples, found {len(positions)} that are NaN or infinite, the first "
            f"at {positions[0]}; interpolate them or cut them off"
        )
    span = np.ptp(signal)
    if span == 0:
        return Decomposition(signal.copy(), np.zeros_like(signal), np.zeros_like(signal), 0.0, 0)
    # in two steps, as the square of a tiny span would be zero
    mean = signal.mean()
    y = (signal - mean) / span
    deviation = y.std()
    y /= deviation
    solution = solver(y, program)
    residual = solution.tonic + solution.phasic - y
    objective = residual @ residual / 2 + alpha * solution.driver.sum()
    objective += gamma * (solution.coefficients @ solution.coefficients) / 2
    scale = span * deviation
    return Decomposition(
        tonic=mean + scale * solution.tonic,
        phasic=scale * solution.phasic,
        driver=scale * solution.driver,
        objective=float(objective),
        iterations=solution.iterations,
    )


@lru_cache(maxsize=4)
def _system(program: Program) -> "System":
    """Return a program for compiled code, scaled so that A has ones on its diagonal.

    The driver is in units of 1 / filter[0] then. Trials of equal length share it, as the splines of
    a high rate take as long as the solution.
    """
    from datamodules.signals.interior_point import System

    spacing, n_times = program.spacing, program.n_times
    n_intervals = -(-n_times // spacing)
    reach = np.concatenate([[0.0, 0.0], program.bump, [0.0]])  # from -2 K to 2 K - 1
    splines = np.ascontiguousarray(reach.reshape(4, spacing)[::-1])
    columns = np.zeros((n_intervals * spacing, 6))
    columns[:, :4] = np.tile(splines.T, (n_intervals, 1))
    columns[:, 4] = 1.0
    columns[:, 5] = np.arange(1, len(columns) + 1) / n_times
    columns[n_times:] = 0.0
    blocks = columns.reshape(n_intervals, spacing, 6)
    ridge = np.full(n_intervals + 7, np.inf)
    ridge[:2] = 0.0
    ridge[2:4] = 0.0 if program.first else np.inf
    ridge[5 : 5 + len(program.knots)] = program.gamma
    scale, lag1, lag2 = program.filter
    return System(
        first=program.first,
        spacing=spacing,
        lag1=lag1 / scale,
        lag2=lag2 / scale,
        alpha=program.alpha * scale,
        splines=splines,
        gram=blocks.transpose(0, 2, 1) @ blocks,
        ridge=ridge,
    )


@lru_cache(maxsize=4)
def _decompose_bytes(samples: bytes, sfreq: float, boundary: Boundary) -> Decomposition:
    """Decompose float32 samples; tonic and phasic part of a signal come from one solution."""
    return decompose(np.frombuffer(samples, np.float32), sfreq, boundary=boundary)


GRAIN = 2.0**-32
"""Part of the largest sample to which results are rounded; a float32 of that size has 2**-24."""


def _decompose_signal(signal: Signal, boundary: Boundary) -> Decomposition:
    if len(signal.samples) != 1:
        raise ValueError(f"expected one channel of skin conductance, found {signal.channels}")
    return _decompose_bytes(signal.samples.tobytes(), signal.sfreq, boundary)


def bounded(signal: Signal, parts: Decomposition) -> tuple[Array, Array]:
    """Return tonic and phasic part, the tonic one nowhere below the lowest sample of the signal.

    cvxEDA knows no bound of the level. Where an electrode moves, the signal jumps faster than any
    response; the driver then takes the jump for responses of several microsiemens, and the splines
    fall as far below zero. What the level is lifted by, the responses lose, so that the sum stays;
    they may fall below zero by a part of the residual.

    Both are rounded to ``GRAIN`` of the largest sample. A sum of products may differ in its last
    bit from process to process, and beside zero that bit would be seen in single precision.
    """
    tonic = np.maximum(parts.tonic, float(signal.samples.min()))
    phasic = parts.phasic - (tonic - parts.tonic)
    largest = float(np.abs(signal.samples).max())
    if not largest:
        return tonic, phasic
    grain = GRAIN * 2.0 ** np.ceil(np.log2(largest))
    return np.rint(tonic / grain) * grain, np.rint(phasic / grain) * grain


@dataclass(frozen=True)
class TonicEDA(Step):
    """Skin conductance level: the tonic part of the whole recording by cvxEDA, see ``bounded``.

    Takes one channel, in microsiemens or any other unit of conductance, and keeps unit and rate.

    Args:
        boundary: Assumption about the time before a recording, see ``Boundary``.

    Raises:
        ValueError: More than one channel, less than 3 samples, or samples that are not finite.
    """

    boundary: Boundary = "free"

    def __call__(self, signal: Signal) -> Signal:
        tonic, _ = bounded(signal, _decompose_signal(signal, self.boundary))
        return replace(signal, samples=tonic[None].astype(np.float32), channels=("tonic",))


@dataclass(frozen=True)
class PhasicEDA(Step):
    """Skin conductance responses: the phasic part of the recording by cvxEDA, see ``bounded``.

    Takes one channel, in microsiemens or any other unit of conductance, and keeps unit and rate.

    Args:
        boundary: Assumption about the time before a recording, see ``Boundary``.

    Raises:
        ValueError: More than one channel, less than 3 samples, or samples that are not finite.
    """

    boundary: Boundary = "free"

    def __call__(self, signal: Signal) -> Signal:
        _, phasic = bounded(signal, _decompose_signal(signal, self.boundary))
        return replace(signal, samples=phasic[None].astype(np.float32), channels=("phasic",))
