from itertools import product

import pytest

from datamodules.errors import IncompatibleRunError
from datamodules.flags import (
    ABOUT,
    FLAGS,
    OF_EPOCHS,
    OF_TEACHERS,
    REPORTED,
    SHUFFLED,
    known_flags,
    teacher_flags,
)


def test_flags_have_one_order_and_known_names() -> None:
    assert known_flags(["report_best_epoch", "random_windows", "random_windows"]) == (
        "random_windows",
        "report_best_epoch",
    )
    assert known_flags(reversed(FLAGS)) == FLAGS
    assert known_flags(()) == ()
    with pytest.raises(IncompatibleRunError, match=r"random_windows, .*found random_window$"):
        known_flags(["random_window"])


def test_every_flag_is_described() -> None:
    assert tuple(ABOUT) == FLAGS
    assert {*SHUFFLED, *REPORTED, *OF_EPOCHS, OF_TEACHERS} <= set(FLAGS)


def test_teachers_have_the_flags_of_the_data_and_an_epoch_of_their_own() -> None:
    for one, other in product(FLAGS[-4:], FLAGS[-4:]):
        chosen = ("select_on_test",) if OF_TEACHERS in (one, other) else ()
        assert teacher_flags((one, other)) == chosen
    data = FLAGS[:-4]
    assert teacher_flags(FLAGS) == (*data, "select_on_test")
    assert teacher_flags(data) == data
