"""Types of arguments: values that they take, and words for those that they refuse."""

import argparse

import pytest

from benchmark.cli.arguments import count, not_negative, option, positive, shard, whole


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (count, "12", 12),
        (positive, "0.5", 0.5),
        (not_negative, "0", 0.0),
        (shard, "2/3", (2, 3)),
        (option, "raw=true", ("raw", "true")),
        (option, "name=a=b", ("name", "a=b")),
        (option, "name=", ("name", "")),
    ],
)
def test_values(kind, text, value):
    assert kind(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (count, "0", "a whole number from 1 up, found 0"),
        (count, "1.5", "a whole number from 1 up, found 1.5"),
        (count, "-1", "a whole number from 1 up, found -1"),
        (positive, "0", "more than 0, found 0"),
        (positive, "nan", "more than 0, found nan"),
        (not_negative, "-1", "0 or more, found -1"),
        (not_negative, "nan", "0 or more, found nan"),
        (shard, "0/3", "I/N with I from 1 to N, found 0/3"),
        (shard, "4/3", "I/N with I from 1 to N, found 4/3"),
        (shard, "3", "I/N with I from 1 to N, found 3"),
        (option, "raw", "NAME=VALUE, found raw"),
    ],
)
def test_what_is_refused(kind, text, expected):
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected {expected}"):
        kind(text)


def test_whole_numbers_begin_at_0():
    assert whole("0") == 0
    for text in ("-1", "1.5", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="a whole number from 0 up"):
            whole(text)
