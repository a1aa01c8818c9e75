"""Interior point method for the program of cvxEDA, in time and memory linear in the length.

    y = M q + B l + C d + e,    minimise |e|^2 / 2 + alpha sum(p) + gamma |l|^2 / 2,    p = A q >= 0

with y the skin conductance, M q phasic, p the driver, B l splines and C d a line, together tonic.

Row i of A gives q_i from p_i, q_(i-1) and q_(i-2). Take p in place of q, and all constraints are
the bounds p >= 0: every iterate obeys A q = p, and a Newton step is a least squares problem with
the weight multiplier_i / p_i on the square of p_i. That is a linear-quadratic control problem with
state (q_i, q_(i-1)) and control p_i, in which at any time at most four splines are not zero.

It is eliminated backwards in time. What lies ahead is kept as a symmetric matrix of eight, the
front: two for the state, four for the splines of the current interval between knots, two for the
line. Step i writes q_i as p_i and the state before it, adds the square of row i and eliminates p_i;
at a knot the spline that reaches back least is eliminated and another enters. The state before the
first row and the line come last. Each right-hand side then takes one sweep back and one forth.

Order and variables are chosen for stability: a pivot is at least 1 + weight, and large weights only
enter as divisors. Before convergence weights reach 1e18, at which the Cholesky factor of the matrix
in q, though banded as well, does not exist in double precision; these steps keep eleven digits.
Their errors do not pile up either, as each starts from the residual at the point reached.

Beside cvxopt's solver, median CPU seconds on one thread of a shared virtual machine (x86-64, two
cores), measured by ``OMP_NUM_THREADS=1 python tests/benchmarks/cvxeda.py``; objective relative to
cvxopt's, phasic part in standard deviations of the signal:

    case              boundary  cvxopt    here     ratio  objective  phasic   iterations
    60 s at 50 Hz     free      0.0319   0.00141   22.7  -7.3e-08   1.1e-05  20 / 18
    60 s at 50 Hz     rest      0.0301   0.00131   23.0  -2.6e-08   5.0e-06  19 / 17
    100 min at 4 Hz   free      0.3255   0.01101   29.6  -1.7e-07   2.6e-05  18 / 17
    100 min at 4 Hz   rest      0.3407   0.01094   31.1  -1.7e-07   2.1e-05  18 / 17
    1 h at 25 Hz      free      2.1173   0.05306   39.9  -1.2e-07   9.4e-06  25 / 24
    1 h at 25 Hz      rest      1.8116   0.05625   32.2  -5.3e-07   2.0e-05  24 / 25

and wall seconds of 400 trials of 60 s at 50 Hz, by cvxopt in one thread, as it does not let another
run, and here in two:

    400 trials        free     12.08     0.281     43.0  -7.3e-10   4.2e-05
    400 trials        rest     12.81     0.274     46.8  -4.0e-10   4.3e-05

References:
    Mehrotra, On the implementation of a primal-dual interior point method, SIAM Journal on
    Optimization 2, 1992. Rao, Wright and Rawlings, Application of interior-point methods to model
    predictive control, Journal of Optimization Theory and Applications 99, 1998.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
_Function = TypeVar("_Function", bound=Callable[..., Any])

GAP = 1e-10
"""Complementarity gap at which to stop, as a share of the objective."""
RESIDUAL = 1e-8
"""Dual residual at which to stop, as a share of the objective, whose error it enters squared."""
FLOOR = 1e-16
"""Gap and residual at which to stop, as a share of |y|^2, if a signal is explained entirely."""
MAX_ITERATIONS = 100
"""Largest number of iterations. None of 24000 made-up signals needed more than 40 with the usual
costs, nor 70 with others."""
TO_THE_BOUND = 0.99
"""Share of the way to the nearest bound that a step may go, until the gap is smaller than that."""
STALLED = 0.9
"""Share of the least gap yet above which a step only centres: Mehrotra's method alone can cycle."""


class System(NamedTuple):
    """The program as compiled code takes it, each row of A divided by its first element.

    Border variables are slope and constant of the line, q_(first - 2), q_(first - 1) and the
    splines from one interval before the signal to two after it. One that the program does not have
    gets an infinite ridge and stays zero.

    Attributes:
        first: First row of A and M that is not empty.
        spacing: K, samples between knots.
        lag1, lag2: q_i = p_i - lag1 q_(i-1) - lag2 q_(i-2).
        alpha: Cost of p.
        splines: Values of the four splines at each sample of an interval, shape (4, K).
        gram: Products of splines and line in each interval, shape (intervals, 6, 6).
        ridge: Cost of the square of each border variable, shape (intervals + 7,).
    """

    first: int
    spacing: int
    lag1: float
    lag2: float
    alpha: float
    splines: Array
    gram: Array
    ridge: Array


class Variables(NamedTuple):
    """A point, a step or a gradient: p of shape (T,), border of shape (intervals + 7,)."""

    p: Array
    border: Array


class _Factors(NamedTuple):
    """The result of eliminations: rows in the order of the front, without the pivot's element."""

    rows: Array  # (8, T), those of p; the two of the state are divided by the pivot
    inverses: Array  # (T,), of the pivots
    border_rows: Array  # (intervals + 7, 8)
    border_pivots: Array  # (intervals + 7,)


_NEWEST, _OLDEST = 2, 5
"""Places in the front of the spline that entered last and of the one to be eliminated next."""
_PLACES = (7, 6, 1, 0)
"""Places in the front of the border variables that are no splines."""


def _compiled(function: _Function, *more: str) -> _Function:
    """Compile a recursion in time, in the order written; it lets other threads run."""
    options = partial(njit, nogil=True, error_model="numpy", fastmath={"contract", *more})
    try:
        return cast(_Function, options(cache=True)(function))
    except RuntimeError:  # no folder to keep it in, neither beside the source nor the user's own
        return cast(_Function, options()(function))


def _vectorised(function: _Function) -> _Function:
    """Compile sums and maxima over time, whose order is left to the compiler."""
    return _compiled(function, "reassoc", "nsz", "nnan")


@_vectorised
def minimise(system: System, y: Array, start: float) -> tuple[Variables, Array, Array, int]:
    """Solve the program to a relative gap of ``GAP``.

    Args:
        system: The program.
        y: Signal of unit variance, shape (T,).
        start: Driver to start from, the same at all times.

    Returns:
        The minimum, its phasic part (T,) and residual e (T,), and the number of iterations,
        ``MAX_ITERATIONS`` if they did not suffice.
    """
    first, n_times, n_border = system.first, len(y), len(system.ridge)
    phasic, residual = np.empty(n_times), np.empty(n_times)
    point = Variables(np.zeros(n_times), np.zeros(n_border))
    gradient = Variables(np.empty(n_times), np.empty(n_border))
    aim = Variables(np.empty(n_times), gradient.border)
    step = Variables(np.empty(n_times), np.empty(n_border))
    weights, inverses, pivots = np.empty(n_times), np.empty(n_times), np.empty(n_border)
    factors = _Factors(np.empty((8, n_times)), inverses, np.empty((n_border, 8)), pivots)
    p, slope, aimed, change = point.p[first:], gradient.p[first:], aim.p[first:], step.p[first:]
    weight, n = weights[first:], len(p)
    p[:] = start
    multiplier, pull = np.full(n, system.alpha), np.zeros(n)
    least_gap, last_infeasibility, length = np.inf, np.inf, 0.0
    for iteration in range(MAX_ITERATIONS):
        objective = _evaluate(system, y, point, gradient, phasic, residual)
        gap, infeasibility = 0.0, np.abs(point.border * gradient.border).sum()
        for i in range(n):
            gap += p[i] * multiplier[i]
            infeasibility += p[i] * abs(slope[i] - multiplier[i])
            weight[i] = multiplier[i] / p[i]
        # a step leaves 1 - length of the infeasibility, and rounding
        rounding = length > 0.9 and infeasibility > 0.5 * last_infeasibility
        if gap <= GAP * objective + FLOOR * n_times and (
            rounding or infeasibility <= RESIDUAL * objective + FLOOR * n_times
        ):
            return point, phasic, residual, iteration
        stalled = infeasibility < gap and gap > STALLED * least_gap
        last_infeasibility = infeasibility
        if infeasibility < gap:
            least_gap = min(least_gap, gap)
        _factorise(system, weights, factors)

        # predictor: aim at no gap; how far can that step go, and what gap would it leave
        centring, bend = 1.0, 0.0
        if iteration:
            _solve(system, factors, gradient, step)
            limit, second_order = 1.0, 0.0
            for i in range(n):
                relative = change[i] / p[i]  # that of the multiplier is -1 - relative
                limit = max(limit, max(-relative, 1 + relative))
                pull[i] = relative * (1 + relative)
                second_order += p[i] * multiplier[i] * pull[i]
            centring = max((1 - 1 / limit - second_order / gap / limit**2) ** 3, 0.5 * stalled)
            bend = 1.0 - stalled

        # corrector: aim at equal products of p and multiplier, to second order
        for i in range(n):
            pull[i] = centring * gap / n / (p[i] * multiplier[i]) + bend * pull[i]
            aimed[i] = slope[i] - multiplier[i] * pull[i]
        _solve(system, factors, aim, step)
        if not iteration:  # least squares, from where neither p nor multipliers fall
            point.border[:] = step.border
            for i in range(n):
                p[i] += max(change[i], 0.0)
                multiplier[i] -= min(change[i], 0.0) * weight[i]
            continue
        bound = max(TO_THE_BOUND, 1 - gap / objective)  # for superlinear convergence
        limit = bound
        for i in range(n):
            relative = change[i] / p[i]
            pull[i] -= 1 + relative  # which makes it the relative change of the multiplier
            limit = max(limit, max(-relative, -pull[i]))
        length = bound / limit
        for i in range(n):
            p[i] += length * change[i]
            multiplier[i] += length * multiplier[i] * pull[i]
        point.border[:] += length * step.border
    return point, phasic, residual, MAX_ITERATIONS


@_vectorised
def _evaluate(
    system: System, y: Array, point: Variables, gradient: Variables, phasic: Array, residual: Array
) -> float:
    """Objective; writes gradient, phasic and residual."""
    spacing, border, slopes = system.spacing, point.border, gradient.border
    rise, constant = border[0] / len(y), border[1]
    _filter(system, point, phasic)
    objective = sum0 = sum1 = 0.0
    slopes[:] = 0.0
    for j in range(len(system.gram)):
        begin = j * spacing
        e = residual[begin : begin + spacing]
        r, goal = phasic[begin : begin + spacing], y[begin : begin + spacing]
        b0, b1, b2, b3 = system.splines[0], system.splines[1], system.splines[2], system.splines[3]
        l0, l1, l2, l3 = border[j + 4], border[j + 5], border[j + 6], border[j + 7]
        for t in range(len(e)):
            tonic = constant + rise * (begin + t + 1)
            tonic += b0[t] * l0 + b1[t] * l1 + b2[t] * l2 + b3[t] * l3
            e[t] = r[t] + tonic - goal[t]
            objective += e[t] * e[t] / 2
            sum0 += e[t]
            sum1 += e[t] * (begin + t + 1)
        for a in range(4):
            slopes[j + 4 + a] += _dot(system.splines[a], e)
    slopes[0], slopes[1] = sum1 / len(y), sum0
    for k in range(len(border)):
        if system.ridge[k] < np.inf:
            objective += system.ridge[k] * border[k] ** 2 / 2
            slopes[k] += system.ridge[k] * border[k]
    _filter_transposed(system, residual, gradient)
    return objective + system.alpha * float(point.p.sum())


@_compiled
def _filter(system: System, point: Variables, phasic: Array) -> None:
    """Write M q."""
    first, lag1, lag2 = system.first, system.lag1, system.lag2
    q2, q1 = point.border[2], point.border[3]
    phasic[:first] = 0.0
    for i in range(first, len(phasic)):
        part = point.p[i] - lag2 * q2
        phasic[i] = part + (2 - lag1) * q1 + q2
        q1, q2 = part - lag1 * q1, q1


@_compiled
def _filter_transposed(system: System, residual: Array, gradient: Variables) -> None:
    """Write the gradient by p and by the state before the first row."""
    first, lag1, lag2 = system.first, system.lag1, system.lag2
    h1 = h2 = e1 = e2 = 0.0  # h is the slope along q
    for i in range(len(residual) - 1, first - 1, -1):
        e = residual[i]
        h1, h2 = (e + 2 * e1 + e2 - lag2 * h2) - lag1 * h1, h1
        gradient.p[i] = h1 + system.alpha
        e1, e2 = e, e1
    gradient.border[2] = e1 - lag2 * h1
    gradient.border[3] = 2 * e1 + e2 - lag1 * h1 - lag2 * h2


@_compiled
def _factorise(system: System, weights: Array, factors: _Factors) -> None:
    """Eliminate the matrix of a Newton step, in which only the weights change."""
    first, spacing, lag1, lag2, _, splines, gram, ridge = system
    rows, inverses = factors.rows, factors.inverses
    m1, m2, per_sample = 2 - lag1, 1 - lag2, 1 / len(weights)
    front = np.zeros((8, 8))
    for k in range(len(ridge) - 1, -1, -1):
        if k >= 7:
            begin = (k - 7) * spacing
            start, stop = max(begin, first), min(begin + spacing, len(weights))
            # scalars, as arrays of this size would go through memory at every sample
            s00, s01, s11 = front[0, 0], front[0, 1], front[1, 1]
            x2, x3, x4, x5, x6, x7 = _tail(front[0])
            z2, z3, z4, z5, z6, z7 = _tail(front[1])
            for i in range(stop - 1, start - 1, -1):
                t, b7 = i - begin, (i + 1) * per_sample
                b2, b3, b4, b5 = splines[0, t], splines[1, t], splines[2, t], splines[3, t]
                inverse = 1 / (s00 + (1 + weights[i]))
                c, d = s01 - lag1 * s00, lag2 * s00
                r0, r1 = c + m1, m2 - d
                s00, s01, s11 = (  # products first, as the quotient is waited for
                    (s11 - lag1 * (c + s01) + m1 * m1) - (r0 * r0) * inverse,
                    (m1 * m2 - lag2 * c) - (r0 * r1) * inverse,
                    (m2 * m2 + lag2 * d) - (r1 * r1) * inverse,
                )
                f0, f1 = r0 * inverse, r1 * inverse
                inverses[i], rows[0, i], rows[1, i] = inverse, f0, f1
                rows[2, i], rows[3, i], rows[4, i] = x2 + b2, x3 + b3, x4 + b4
                rows[5, i], rows[6, i], rows[7, i] = x5 + b5, x6 + 1, x7 + b7
                u0, u1, v0, v1 = lag1 + f0, lag2 + f1, m1 - f0, m2 - f1
                x2, z2 = (z2 + v0 * b2) - u0 * x2, v1 * b2 - u1 * x2
                x3, z3 = (z3 + v0 * b3) - u0 * x3, v1 * b3 - u1 * x3
                x4, z4 = (z4 + v0 * b4) - u0 * x4, v1 * b4 - u1 * x4
                x5, z5 = (z5 + v0 * b5) - u0 * x5, v1 * b5 - u1 * x5
                x6, z6 = (z6 + v0) - u0 * x6, v1 - u1 * x6
                x7, z7 = (z7 + v0 * b7) - u0 * x7, v1 * b7 - u1 * x7
            x, z = (s00, s01, x2, x3, x4, x5, x6, x7), (s01, s11, z2, z3, z4, z5, z6, z7)
            for a in range(8):
                front[0, a] = front[a, 0] = x[a]
                front[1, a] = front[a, 1] = z[a]
            for a in range(2, 8):
                for b in range(2, a + 1):
                    pair = rows[a][start:stop], rows[b][start:stop]
                    front[a, b] += gram[k - 7, a - 2, b - 2] - _dot3(*pair, inverses[start:stop])
                    front[b, a] = front[a, b]
        place, row = _OLDEST if k >= 4 else _PLACES[k], factors.border_rows[k]
        factors.border_pivots[k] = front[place, place] + ridge[k]
        for a in range(8):
            row[a] = front[place, a]
            front[place, a] = front[a, place] = 0.0
        row[place] = 0.0
        for a in range(8):
            quotient = row[a] / factors.border_pivots[k]
            for b in range(8):
                front[a, b] -= quotient * row[b]
            _enter(front[a])
        for a in range(8):
            _enter(front[:, a])


@_compiled
def _enter(front: Array) -> None:
    """Move the splines in a row of the front by one place, so that the next one can enter."""
    for a in range(_OLDEST, _NEWEST, -1):
        front[a] = front[a - 1]
    front[_NEWEST] = 0.0


@_compiled
def _solve(system: System, factors: _Factors, gradient: Variables, step: Variables) -> None:
    """Write the step to the minimum of the model with this gradient."""
    first, spacing, lag1, lag2 = system.first, system.spacing, system.lag1, system.lag2
    rows, inverses = factors.rows, factors.inverses
    n_times, n_border = len(gradient.p), len(system.ridge)
    front = np.zeros(8)  # of the gradient
    for k in range(n_border - 1, -1, -1):
        if k >= 7:
            start, stop = max((k - 7) * spacing, first), min((k - 6) * spacing, n_times)
            x0, x1 = front[0], front[1]
            for i in range(stop - 1, start - 1, -1):
                f0, f1, g = rows[0, i], rows[1, i], gradient.p[i]
                step.p[i] = (x0 + g) * inverses[i]
                x0, x1 = (x1 - f0 * g) - (lag1 + f0) * x0, -f1 * g - (lag2 + f1) * x0
            front[0], front[1] = x0, x1
            for a in range(2, 8):
                front[a] -= _dot(rows[a][start:stop], step.p[start:stop])
        place, row = _OLDEST if k >= 4 else _PLACES[k], factors.border_rows[k]
        step.border[k] = (front[place] + gradient.border[k]) / factors.border_pivots[k]
        for a in range(8):
            front[a] -= step.border[k] * row[a]
        _enter(front)

    front[:] = 0.0  # of the step
    for k in range(n_border):
        for a in range(_NEWEST, _OLDEST):
            front[a] = front[a + 1]
        place, row = _OLDEST if k >= 4 else _PLACES[k], factors.border_rows[k]
        step.border[k] = -step.border[k] - _dot(row, front) / factors.border_pivots[k]
        front[place] = step.border[k]
        if k >= 7:
            start, stop = max((k - 7) * spacing, first), min((k - 6) * spacing, n_times)
            _add_border(step.p, factors, front, start, stop)
            q1, q2 = front[0], front[1]
            for i in range(start, stop):
                f0, f1, part = rows[0, i], rows[1, i], step.p[i]
                step.p[i] = part - f1 * q2 - f0 * q1
                q1, q2 = (part - (lag2 + f1) * q2) - (lag1 + f0) * q1, q1
            front[0], front[1] = q1, q2


@_vectorised
def _add_border(step: Array, factors: _Factors, front: Array, start: int, stop: int) -> None:
    """Turn the quotients of an interval into the step of p without the part of the state."""
    rows = factors.rows
    r2, r3, r4 = rows[2][start:stop], rows[3][start:stop], rows[4][start:stop]
    r5, r6, r7 = rows[5][start:stop], rows[6][start:stop], rows[7][start:stop]
    x2, x3, x4, x5, x6, x7 = _tail(front)
    inverses, out = factors.inverses[start:stop], step[start:stop]
    for i in range(len(out)):
        part = r2[i] * x2 + r3[i] * x3 + r4[i] * x4 + r5[i] * x5 + r6[i] * x6 + r7[i] * x7
        out[i] = -out[i] - part * inverses[i]


@_compiled
def _tail(row: Array) -> tuple[float, float, float, float, float, float]:
    return row[2], row[3], row[4], row[5], row[6], row[7]


@_vectorised
def _dot(a: Array, b: Array) -> float:
    total = 0.0
    for i in range(len(b)):
        total += a[i] * b[i]
    return total


@_vectorised
def _dot3(a: Array, b: Array, c: Array) -> float:
    total = 0.0
    for i in range(len(c)):
        total += a[i] * b[i] * c[i]
    return total
