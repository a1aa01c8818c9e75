"""The program of cvxEDA handed to cvxopt's solver for quadratic programs: slow, but plain."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from cvxopt import matrix, solvers, spmatrix
from scipy import sparse

from datamodules.signals.cvxeda import Array, Program, Solution

OPTIONS = {"show_progress": False, "reltol": 1e-9}
"""The tolerance is cvxEDA's."""


class _Matrices(NamedTuple):
    A: Any  # SciPy's, sparse
    M: Any
    B: Any
    C: Array
    hessian: Any  # cvxopt's, sparse
    constraints: Any


def solve(y: Array, program: Program) -> Solution:
    """Minimise with cvxopt; otherwise the same as ``cvxeda.solve``.

    Args:
        y: Z-scored signal, shape (T,).
        program: Program to minimise.

    Returns:
        The minimum; its driver may be below zero by the tolerance.

    Raises:
        ArithmeticError: No convergence.
    """
    A, M, B, C, hessian, constraints = _matrices(program)
    linear = np.concatenate([program.alpha * A.sum(axis=0) - M.T @ y, -(B.T @ y), -(C.T @ y)])
    zeros = matrix(0.0, (constraints.size[0], 1))
    answer = solvers.qp(hessian, matrix(linear), constraints, zeros, options=OPTIONS)
    if answer["status"] != "optimal":
        raise ArithmeticError(f"expected an optimum of {program}, found {answer['status']!r}")
    q, coefficients, line = np.split(np.array(answer["x"]).ravel(), [len(y), len(linear) - 2])
    return Solution(
        tonic=B @ coefficients + C @ line,
        phasic=M @ q,
        driver=A @ q,
        coefficients=coefficients,
        iterations=answer["iterations"],
    )


@lru_cache(maxsize=4)
def _matrices(program: Program) -> _Matrices:
    n_times, n_knots, n_free = program.n_times, len(program.knots), len(program.knots) + 2
    A, M = (_band(taps, program) for taps in (program.filter, (1.0, 2.0, 1.0)))
    reach = len(program.bump) // 2
    rows = program.knots + np.arange(-reach, reach + 1)[:, None]
    inside = (rows >= 0) & (rows < n_times)
    values = np.broadcast_to(program.bump[:, None], rows.shape)[inside]
    B = sparse.csc_array((values, (rows[inside], np.nonzero(inside)[1])), shape=(n_times, n_knots))
    C = np.stack([np.ones(n_times), np.arange(1, n_times + 1) / n_times], axis=1)
    columns = sparse.hstack([M, B, sparse.csc_array(C)])
    ridge = np.concatenate([np.zeros(n_times), np.full(n_knots, program.gamma), np.zeros(2)])
    # an empty row asks for 0 >= 0: true, but a constraint without an interior
    constraints = sparse.hstack(
        [-A[program.first :], sparse.csc_array((n_times - program.first, n_free))]
    )
    hessian = columns.T @ columns + sparse.diags_array(ridge)
    return _Matrices(A, M, B, C, _to_cvxopt(hessian), _to_cvxopt(constraints))


def _band(taps: tuple[float, float, float], program: Program) -> Any:
    shape = (program.n_times, program.n_times)
    band = sparse.diags_array(taps, offsets=(0, -1, -2), shape=shape, format="csr")
    empty = sparse.csr_array((program.first, program.n_times))
    return sparse.vstack([empty, band[program.first :]], format="csc")


def _to_cvxopt(values: Any) -> Any:
    entries = values.tocoo()
    return spmatrix(entries.data, entries.row, entries.col, entries.shape)
