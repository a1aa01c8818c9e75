"""The example of a folder dataset; what its signals are made of is tested with physiology."""

import sys

import numpy as np
import pytest

from datamodules.errors import AffectbenchError
from datamodules.folder import folder_dataset
from datamodules.formats.folder_head import HEAD
from datamodules.signals.recording import Recording
from datamodules.synthesis.folder import FORMATS, PHASES, write


def recording(root):
    items = folder_dataset(root / HEAD).make_reader(root).read("P01")
    (only,) = [item for item in items if isinstance(item, Recording)]
    return only


@pytest.mark.parametrize("kind", FORMATS)
def test_the_example_reads_alike_in_every_format(tmp_path, kind):
    if kind == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra [parquet]")
    plain_root, root = tmp_path / "plain" / "lab", tmp_path / "other" / "lab"
    write(plain_root, 2, minutes=0.2)
    write(root, 2, minutes=0.2, format=kind)
    assert {path.suffix for path in (root / "recordings").iterdir()} == {f".{kind}"}
    plain, other = recording(plain_root), recording(root)
    assert other.segments == plain.segments
    assert [*other.signals] == ["bvp", "eda", "temp", "acc"]
    for name, signal in other.signals.items():
        expected = plain.signals[name]
        assert (signal.sfreq, signal.unit) == (expected.sfreq, expected.unit)
        step = np.ptp(expected.samples) / 2**15  # of the whole numbers of EDF
        np.testing.assert_allclose(signal.samples, expected.samples, atol=step, rtol=1e-5)


def test_every_row_of_the_example_can_be_used(tmp_path):
    write(tmp_path / "lab", 3, minutes=1.1)
    dataset = folder_dataset(tmp_path / "lab" / HEAD)
    reader = dataset.make_reader(tmp_path / "lab")
    assert reader.subjects == ("P01", "P02", "P03")
    orders = set()
    for subject in reader.subjects:
        (made,) = reader.read(subject)
        labels = [str(segment.annotations["label"]) for segment in made.segments]
        assert sorted(labels) == sorted(PHASES)
        orders.add(tuple(labels))
        for task in dataset.tasks.values():
            assert {task.label(subject, segment) for segment in made.segments} == {0, 1}
    assert len(orders) > 1


def test_a_subject_does_not_depend_on_how_many_there_are(tmp_path):
    write(tmp_path / "few", 1, minutes=0.1)
    write(tmp_path / "many", 2, minutes=0.1)
    for path in (tmp_path / "few" / "recordings").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / "recordings" / path.name).read_bytes()


REFUSED = {
    "another format": ({"format": "txt"}, "expected a format among csv, parquet, edf, npz"),
    "no time": ({"minutes": 0.0}, r"expected 0\.1 minutes or more"),
    "nobody": ({"n_subjects": 0}, "expected 1 to 99 subjects"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_refused(tmp_path, case):
    arguments, message = REFUSED[case]
    with pytest.raises(AffectbenchError, match=message):
        write(tmp_path / "lab", **{"n_subjects": 1, **arguments})
    assert not (tmp_path / "lab").exists()


def test_nothing_is_replaced(tmp_path):
    write(tmp_path / "lab", 1, minutes=0.1)
    with pytest.raises(AffectbenchError, match=r"expected no .* found one"):
        write(tmp_path / "lab", 1, minutes=0.1)


def test_a_name_that_no_dataset_can_have_is_refused(tmp_path):
    with pytest.raises(AffectbenchError, match="a folder named by small letters"):
        write(tmp_path / "my lab", 1, minutes=0.1)


def test_parquet_without_its_library_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(AffectbenchError, match=r"pip install 'affectbench\[parquet\]'"):
        write(tmp_path / "lab", 1, minutes=0.1, format="parquet")
    assert not (tmp_path / "lab" / "recordings").exists()
