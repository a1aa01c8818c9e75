"""Plans of small suites, on recordings that are only said to be there."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.plan.expand import Plan, expand
from benchmark.plan.parse import PROTOCOL_KEYS
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Distillation, Suite, with_values
from datamodules.protocol import Protocol

FOUR = Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)


def make_suite(**keys: Any) -> Suite:
    """Return a suite of keys as a file has them: those of the protocol beside all others."""
    protocol = {key: keys.pop(key) for key in PROTOCOL_KEYS if key in keys}
    return Suite("s", **keys, protocol=with_values(Protocol(), protocol, "s"))


def make_plan(recordings: Prepared = FOUR, **keys: Any) -> Plan:
    suite = make_suite(**{"datasets": ("synthetic",), "models": ("lda",), **keys})
    return expand(suite, dict.fromkeys(suite.datasets, recordings))


@pytest.fixture
def suite_of() -> Callable[..., Suite]:
    """Makes a suite of keys as a file has them."""
    return make_suite


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Expands a suite of one probe on four subjects; keywords replace its keys."""
    return make_plan


@pytest.fixture
def plan_pairs() -> Callable[..., Plan]:
    """Expands a suite of distillations alone; keywords replace its keys."""

    def expanded(*pairs: Distillation, **keys: Any) -> Plan:
        return make_plan(**{"models": (), "distillations": pairs, **keys})

    return expanded
