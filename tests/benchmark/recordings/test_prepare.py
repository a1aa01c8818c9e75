"""Recordings before they are used: who is left out and why, and what is refused before writing."""

from dataclasses import replace

import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.recordings.prepare import prepare, reason_without_place, synthesize
from datamodules.archive import Archive
from datamodules.catalogue import DATASETS
from datamodules.errors import DatasetCorruptedError, LeakError
from datamodules.folder import folder_dataset
from datamodules.preparing import store_subjects
from datamodules.synthesis import empatica_e4
from datamodules.synthetic import SyntheticReader


@pytest.fixture
def broken(monkeypatch):
    """Makes some subjects unreadable."""
    read = SyntheticReader.read

    def choose(*subjects):
        def damaged(self, subject):
            if subject in subjects:
                raise DatasetCorruptedError(f"{subject}: broken")
            return read(self, subject)

        monkeypatch.setattr(SyntheticReader, "read", damaged)

    return choose


OPTIONS = {"n_subjects": 3, "phase": 60.0}


def test_who_cannot_be_read_is_left_out(broken, tmp_path):
    broken("S2")
    prepared = prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ())
    assert prepared.subjects == ("S1", "S3")
    assert prepared.left_out == {"S2": "S2: broken"}
    alone = prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ("S3", "S1"))
    assert (alone.subjects, alone.left_out) == (("S1", "S3"), {})
    assert alone.data == prepared.data
    one = prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ("S1",))
    assert one.data != prepared.data


def test_not_one_subject_is_an_error(broken, tmp_path):
    broken("S1", "S2", "S3")
    expected = "none of the 3 subjects of Synthetic can be read; the first: S1: broken"
    with pytest.raises(DatasetCorruptedError, match=expected):
        prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ())


def test_who_has_no_segment_of_a_task_takes_no_part_in_it(monkeypatch, tmp_path):
    read = SyntheticReader.read

    def unlabelled(self, subject):
        for recording in read(self, subject):
            segments = [replace(s, annotations={"condition": "talk"}) for s in recording.segments]
            yield recording if subject != "S2" else replace(recording, segments=tuple(segments))

    everybody = prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ())
    assert everybody.of_task("stress") == (("S1", "S2", "S3"), everybody.data)
    monkeypatch.setattr(SyntheticReader, "read", unlabelled)
    prepared = prepare("synthetic", tmp_path, tmp_path / "other", OPTIONS, ())
    assert prepared.subjects == ("S1", "S2", "S3")
    assert prepared.left_out == {}
    subjects, data = prepared.of_task("stress")
    assert subjects == ("S1", "S3")
    assert data == prepare("synthetic", tmp_path, tmp_path / "other", OPTIONS, subjects).data
    assert data != prepared.data


def test_who_lacks_a_signal_is_named(tmp_path):
    empatica_e4.write(tmp_path / "e4", 3, minutes=1.1)
    root, cache = tmp_path / "e4", tmp_path / "cache"
    assert prepare("empatica_e4", root, cache, {}, ()).lacking == {}
    (root / "P01" / "BVP.csv").unlink()
    (root / "P03" / "BVP.csv").unlink()
    (root / "P03" / "TEMP.csv").unlink()
    lacking = {"bvp": ("P01", "P03"), "temp": ("P03",)}
    prepared = prepare("empatica_e4", root, cache, {}, ())
    assert (prepared.subjects, prepared.left_out) == (("P01", "P02", "P03"), {})
    assert prepared.lacking == lacking
    assert prepare("empatica_e4", root, cache, {}, ("P01", "P02")).lacking == {"bvp": ("P01",)}


def test_segments_with_a_unit_say_how_long_a_window_may_be(monkeypatch, tmp_path):
    assert prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ()).longest == {
        "stress": 60.0
    }
    read = SyntheticReader.read

    def cut(self, subject):
        """Cut phases of S2 down to lengths of which the first is less than a unit of 60 s."""
        for recording in read(self, subject):
            seconds = dict(enumerate((59.5, 89.75, 110.0))) if subject == "S2" else {}
            segments = [
                replace(s, stop=s.start + seconds.get(number, s.duration))
                for number, s in enumerate(recording.segments)
            ]
            yield replace(recording, segments=tuple(segments))

    monkeypatch.setattr(SyntheticReader, "read", cut)
    options = {"n_subjects": 3, "phase": 150.0}
    prepared = prepare("synthetic", tmp_path, tmp_path / "other", options, ())
    assert prepared.longest == {"stress": 89.0}
    others = prepare("synthetic", tmp_path, tmp_path / "other", options, ("S1", "S3"))
    assert others.longest == {"stress": 150.0}


def test_sessions_are_counted_for_the_split_by_session(tmp_path):
    empatica_e4.write(tmp_path / "e4", 3, minutes=1.1)
    root, cache = tmp_path / "e4", tmp_path / "cache"
    assert prepare("empatica_e4", root, cache, {}, ()).sessions == 1


@pytest.mark.parametrize(
    ("subject", "message", "reason"),
    [
        ("S2", "{root}/S2/S2.pkl: cut off", "WESAD/<subject>/<subject>.pkl: cut off"),
        ("2", "{root}/2/a.csv has 2 lines", "WESAD/<subject>/a.csv has 2 lines"),
        ("2", "participant 2: expected 12 trials", "participant <subject>: expected 12 trials"),
        ("P1", "no '{root}/P1': expected P10", "no 'WESAD/<subject>': expected P10"),
    ],
)
def test_equal_reasons_are_told_in_equal_words(tmp_path, subject, message, reason):
    error = DatasetCorruptedError(message.format(root=tmp_path))
    assert reason_without_place(DATASETS["wesad"], tmp_path, subject, error) == reason


@pytest.mark.parametrize(
    ("dataset", "options", "expected"),
    [
        ("synthetic", {}, "synthetic cannot be synthesized: expected one of wesad, "),
        ("empatica_e4", {"hours": 1.0}, r"expected options as in minutes=.*, found hours=1\.0"),
        ("empatica_e4", {"minutes": "two"}, "expected options as in .*, found minutes=two"),
        ("empatica_e4", {"seed": 3}, "expected options as in minutes=.*, found seed=3"),
    ],
)
def test_what_cannot_be_made_up_is_refused_before_a_file_is_written(
    tmp_path, dataset, options, expected
):
    with pytest.raises(BenchmarkError, match=expected):
        synthesize(dataset, tmp_path / "made", 1, 0, 1.0, options)
    assert not (tmp_path / "made").exists()


def test_made_up_recordings_are_read_back(tmp_path):
    root = tmp_path / "made"
    assert synthesize("empatica_e4", root, 3, 0, 1.0, {"minutes": 1.1}) == 3
    assert len(prepare("empatica_e4", root, tmp_path / "cache", {}, ()).subjects) == 3


@pytest.mark.parametrize("condition", ["baseline", "stress"])
def test_one_class_alone_is_doubted_and_refused(tmp_path, condition, capsys):
    root, cache = tmp_path / "e4", tmp_path / "cache"
    empatica_e4.write(root, 3, minutes=2.2)
    assert prepare("empatica_e4", root, cache, {}, ()).alone == {}
    labels = pd.read_csv(root / "labels.csv")
    labels.assign(condition=condition).to_csv(root / "labels.csv", index=False)
    alone = prepare("empatica_e4", root, cache, {}, ()).alone
    classes = {"baseline": "no_stress", "stress": "stress"}
    assert alone["stress"] == classes[condition]
    capsys.readouterr()
    words = ["--root", str(root), "--cache", str(cache)]
    assert main(["data", "check", "empatica_e4", *words]) == 1
    said = capsys.readouterr()
    assert (
        f"stress: expected score units of two classes at least, found {alone['stress']}" in said.err
    )
    suite = tmp_path / "two.yaml"
    suite.write_text("datasets: [empatica_e4]\nmodels: [lda, majority]\n")
    words = ["--cache", str(cache), "--runs", str(tmp_path / "runs"), "--data", str(tmp_path)]
    root.rename(tmp_path / "empatica_e4")
    assert main(["run", str(suite), *words, "--leaderboards", str(tmp_path / "boards")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("SuiteError: ")
    assert "found that nothing of it applies: stress: expected" in line
    assert not (tmp_path / "runs").exists()


def test_short_segments_are_of_no_class(tmp_path):
    """A class whose every segment is shorter than the score unit is never scored."""
    empatica_e4.write(tmp_path / "e4", 3, minutes=2.2)
    labels = pd.read_csv(tmp_path / "e4" / "labels.csv")
    short = labels["condition"] == "stress"
    labels.loc[short, "stop"] = labels.loc[short, "start"] + 30
    labels.to_csv(tmp_path / "e4" / "labels.csv", index=False)
    alone = prepare("empatica_e4", tmp_path / "e4", tmp_path / "cache", {}, ()).alone
    assert alone["stress"] == "no_stress"


def test_nobody_is_there(tmp_path):
    empatica_e4.write(tmp_path / "e4", 1, minutes=1.1)
    header = (tmp_path / "e4" / "labels.csv").read_text().splitlines()[0]
    (tmp_path / "e4" / "labels.csv").write_text(header + "\n")
    with pytest.raises(DatasetCorruptedError, match="found no row"):
        prepare("empatica_e4", tmp_path / "e4", tmp_path / "cache", {}, ())


def test_the_check_of_a_folder_names_every_row_that_cannot_be_used(tmp_path, monkeypatch, capsys):
    root = tmp_path / "mylab"
    words = ["--subjects", "3", "--option", "minutes=1.1"]
    assert main(["data", "synthesize", "folder", "--root", str(root), *words]) == 0
    table = root / "recordings.csv"
    lines = table.read_text().splitlines()
    rows = {4: "P01,96,162,flim,2", 6: "P01,177,9243", 8: "P02,15,15", 14: "P03,15,81,rest,22"}
    expected = {
        4: "expected a label among",
        6: "expected stop up to 258 s, where bvp ends, found 9243",
        8: "expected 0 <= start < stop",
        14: "expected arousal from 1 to 9, found '22'",
    }
    for line, start in rows.items():
        rest = lines[line - 1].split(",")[start.count(",") + 1 :]
        lines[line - 1] = ",".join([start, *rest])
    table.write_text("\n".join(lines) + "\n")
    dataset = folder_dataset(root / "dataset.yaml")
    monkeypatch.setitem(DATASETS, dataset.name, dataset)
    words = ["--root", str(root), "--cache", str(tmp_path / "cache")]
    capsys.readouterr()
    assert main(["data", "check", "mylab", *words]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 subjects can be used, with 5 of 9 trials" in said
    for line, reason in expected.items():
        assert f"1 trial(s) left out: recordings.csv, line {line}: {reason}" in said


# ---- some signals


def kept(cache):
    """Signals that lie in the cache, by subject; "" is what describes the subject."""
    names = sorted(path.name for path in (cache / "synthetic").iterdir())
    subjects = {name.partition("-")[0] for name in names}
    return {
        subject: [name.partition(".")[2] for name in names if name.startswith(f"{subject}-")]
        for subject in sorted(subjects)
    }


def test_only_signals_that_runs_see_are_prepared(tmp_path):
    cache = tmp_path / "cache"
    prepared = prepare("synthetic", tmp_path, cache, OPTIONS, (), ("bvp",))
    assert kept(cache) == {name: ["", "bvp"] for name in prepared.subjects}
    assert {name for names in prepared.samples.values() for name in names} == {"bvp"}
    assert prepared.channels == {"bvp": ("bvp",)}
    assert prepared.units == {"bvp": ("a.u.",)}
    more = prepare("synthetic", tmp_path, cache, OPTIONS, (), ("temp", "eda_tonic"))
    assert kept(cache) == {name: ["", "bvp", "eda_tonic", "temp"] for name in more.subjects}
    everything = prepare("synthetic", tmp_path, tmp_path / "other", OPTIONS, ())
    for some in (prepared, more):
        of_signals = {name: getattr(everything, name) for name in ("samples", "channels", "units")}
        assert replace(some, **of_signals) == everything
        assert some.units.items() <= everything.units.items()
        for subject, digests in some.samples.items():
            assert digests.items() <= everything.samples[subject].items()


def test_channels_are_those_that_recordings_name_alike(monkeypatch, tmp_path):
    read = SyntheticReader.read

    def renamed(self, subject):
        for recording in read(self, subject):
            acc = recording.signals["acc"]
            x, y, z = acc.channels
            other = replace(acc, channels=(x, z, y) if subject == "S3" else acc.channels)
            yield replace(recording, signals={**recording.signals, "acc": other})

    channels = prepare("synthetic", tmp_path, tmp_path / "alike", OPTIONS, ()).channels
    assert len(set(channels["acc"])) == 3
    monkeypatch.setattr(SyntheticReader, "read", renamed)
    prepared = prepare("synthetic", tmp_path, tmp_path / "differing", OPTIONS, ())
    assert prepared.channels == {**channels, "acc": (channels["acc"][0], "", "")}


def test_digests_are_those_of_what_is_read(tmp_path):
    """A run is planned by one, and refuses recordings by the other."""
    prepared = prepare("synthetic", tmp_path, tmp_path / "cache", OPTIONS, ())
    module = DATASETS["synthetic"]
    reader = module.make_reader(None, **OPTIONS)
    stored, _ = store_subjects(module, reader, reader.subjects, tmp_path / "cache")
    for subjects in (("S1", "S2", "S3"), ("S1", "S3")):
        archive = Archive(tuple(stored[subject] for subject in subjects))
        assert prepared.data_of(subjects) == archive.key
        for signals in ((), ("eda",), ("eda", "bvp")):
            assert prepared.samples_of(subjects, signals) == archive.samples_key(signals)
    assert prepared.data == prepared.data_of(prepared.subjects)


def test_one_person_under_two_names_is_found_whatever_is_prepared(tmp_path):
    empatica_e4.write(tmp_path / "e4", 3, minutes=2.2)
    root, cache = tmp_path / "e4", tmp_path / "cache"
    for name in ("ACC", "BVP", "EDA", "TEMP"):
        lines = (root / "P01" / f"{name}.csv").read_text().splitlines()
        if name == "BVP":  # that alone is prepared, and differs
            lines[2:] = [f"{float(value) + 0.01 * row:.4f}" for row, value in enumerate(lines[2:])]
        (root / "P02" / f"{name}.csv").write_text("\n".join(lines) + "\n")
    labels = (root / "labels.csv").read_text().splitlines()
    copies = [row.replace("P01", "P02") for row in labels if row.startswith("P01")]
    labels = [row for row in labels if not row.startswith("P02")]
    (root / "labels.csv").write_text("\n".join([*labels, *copies]) + "\n")
    with pytest.raises(LeakError, match="P01 and P02 share"):
        prepare("empatica_e4", root, cache, {}, (), ("bvp",))
