"""Every container, damaged in every way, on its way into the cache.

The readers' own tests say what else may be wrong; here, that an error names the file and the field,
and that nothing of the subject stays in the cache, not even under a temporary name.
"""

import io
import os
import pickle
import re
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from datamodules import pmemo as pmemo_reader
from datamodules import seed_v as seed_v_reader
from datamodules.amigos import AMIGOSReader
from datamodules.cache import Reader, store_subject
from datamodules.deap import DEAPReader
from datamodules.empatica_e4 import EmpaticaE4Reader
from datamodules.errors import DatasetCorruptedError
from datamodules.formats.pickles import loads_arrays
from datamodules.mahnob_hci import MAHNOBHCIReader
from datamodules.stress_predict import StressPredictReader
from datamodules.synthesis import (
    amigos,
    deap,
    empatica_e4,
    mahnob_hci,
    pmemo,
    seed_v,
    stress_predict,
    wesad,
)
from datamodules.wesad import WESADReader

Change = Callable[[bytes], bytes]
Kind = Literal["truncated", "wrong shape", "wrong key or label", "NaN everywhere", "zero length"]


@dataclass(frozen=True)
class Source:
    """A dataset as its writer writes it, and who is read."""

    write: Callable[[Path], None]
    reader: Callable[[Path], Reader]
    subject: str


@dataclass(frozen=True)
class Container:
    """A file of a dataset, a pattern for some, and by kind of damage what is said of it."""

    source: str
    files: str
    damages: Mapping[Kind, tuple[Change, str]]


SOURCES = {
    "empatica_e4": Source(
        lambda root: empatica_e4.write(root, 1, minutes=0.2), EmpaticaE4Reader, "P01"
    ),
    "stress_predict": Source(
        lambda root: stress_predict.write(root, 1, scale=0.05), StressPredictReader, "S02"
    ),
    "wesad": Source(lambda root: wesad.write(root, 1, minutes=0.1), WESADReader, "S2"),
    "deap": Source(
        lambda root: deap.write(root, 1, n_videos=2),
        lambda root: DEAPReader(root, n_videos=2),
        "s01",
    ),
    "deap for matlab": Source(
        lambda root: deap.write(root, 1, n_videos=2, container="matlab"),
        lambda root: DEAPReader(root, "matlab", n_videos=2),
        "s01",
    ),
    "amigos": Source(lambda root: amigos.write(root, 1, n_videos=2), AMIGOSReader, "P01"),
    "mahnob_hci": Source(
        lambda root: mahnob_hci.write(root, 1, n_trials=2, longest=34.9, neutral=False),
        MAHNOBHCIReader,
        "1",
    ),
    "seed_v": Source(lambda root: seed_v.write(root, 1), seed_v_reader.SEEDVReader, "1"),
    "seed_v raw": Source(
        lambda root: seed_v.write(root, 1, raw=True),
        lambda root: seed_v_reader.SEEDVReader(root, raw=True),
        "1",
    ),
    "pmemo": Source(
        lambda root: pmemo.write(root, 1, n_songs=4), pmemo_reader.PMEmoReader, pmemo.LISTENERS[0]
    ),
    "pmemo dynamic": Source(
        lambda root: pmemo.write(root, 1, n_songs=4),
        lambda root: pmemo_reader.PMEmoReader(root, dynamic=True),
        pmemo.LISTENERS[0],
    ),
}


# ---- damages of bytes


def half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def nothing(raw: bytes) -> bytes:
    return b""


def swap(old: bytes, new: bytes) -> Change:
    def change(raw: bytes) -> bytes:
        assert old in raw
        return raw.replace(old, new)

    return change


# ---- of tables


def in_a_line(raw: bytes) -> bytes:
    """Cut off before a comma."""
    return raw[: raw.rindex(b",")]


def of_rows(change: Change, head: int = 1) -> Change:
    """Change every line but the first ones."""

    def changed(raw: bytes) -> bytes:
        lines = raw.splitlines()
        return b"\n".join([*lines[:head], *map(change, lines[head:])]) + b"\n"

    return changed


def one_more(row: bytes) -> bytes:
    return row + b",1"


def without_values(row: bytes) -> bytes:
    """NaN in every cell but the first."""
    return row.split(b",")[0] + b",nan" * row.count(b",")


def last_row_moved(raw: bytes) -> bytes:
    """Its cells stand one place too far to the right."""
    *lines, last = raw.rstrip().split(b"\n")
    return b"\n".join([*lines, b"1," + last]) + b"\n"


def other_rate(raw: bytes) -> bytes:
    start, rate, *rows = raw.split(b"\n")
    return b"\n".join([start, rate.replace(b".0", b".5"), *rows])


def all_nan(row: bytes) -> bytes:
    return b",".join([b"nan"] * (1 + row.count(b",")))


# ---- of arrays under names

Values = Callable[[Any], Any]


def nan(values: Any) -> Any:
    return np.full(values.shape, np.nan)


def each(change: Values) -> Values:
    """Change every cell, or every item of a dict."""

    def changed(cells: Any) -> Any:
        if isinstance(cells, dict):
            return {key: change(cell) for key, cell in cells.items()}
        made = np.empty(cells.shape, object)
        made[0] = [change(cell) for cell in cells[0]]
        return made

    return changed


def place(*keys: str, to: Values = lambda values: values, name: str = "") -> Callable[[Any], None]:
    """Change what is under the keys, or the last of the keys."""

    def change(content: Any) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[name or keys[-1]] = to(content.pop(keys[-1]))

    return change


def in_pickle(change: Callable[[Any], None]) -> Change:
    def changed(raw: bytes) -> bytes:
        content = loads_arrays(raw, "")
        change(content)
        return pickle.dumps(content, protocol=3)

    return changed


def in_matlab(change: Callable[[Any], None]) -> Change:
    def changed(raw: bytes) -> bytes:
        content = {key: v for key, v in loadmat(io.BytesIO(raw)).items() if key[0] != "_"}
        change(content)
        file = io.BytesIO()
        savemat(file, content)
        return file.getvalue()

    return changed


def in_archive(member: str, to: Values = lambda values: values, name: str = "") -> Change:
    """Change a pickle in an archive of SEED-V, or its name."""

    def changed(raw: bytes) -> bytes:
        with np.load(io.BytesIO(raw)) as archive:
            members = {key: archive[key] for key in archive.files}
        content = to(loads_arrays(members.pop(member).item(), ""))
        members[name or member] = np.array(pickle.dumps(content, protocol=2))
        file = io.BytesIO()
        np.savez(file, **members)
        return file.getvalue()

    return changed


def at(place: int, form: str, *values: Any) -> Change:
    """Put numbers into a header."""

    def change(raw: bytes) -> bytes:
        size = struct.calcsize(form)
        return raw[:place] + struct.pack(form, *values) + raw[place + size :]

    return change


# ---- what is damaged, and what is said of it


def e4(name: str, channels: int) -> Container:
    file = rf"{name}\.csv"
    cut: tuple[Change, str] = (half, rf"P01: expected files that end within 15 s .* found {file}")
    if channels > 1:
        cut = in_a_line, rf"{file}: expected 3 number\(s\) on every line, found an incomplete line"
    return Container(
        "empatica_e4",
        f"P01/{name}.csv",
        {
            "truncated": cut,
            "wrong shape": (
                of_rows(one_more, 2),
                rf"{file}: expected {channels} number\(s\) on every line, found {channels + 1}",
            ),
            "wrong key or label": (
                other_rate,
                rf"{file}: expected {channels} channel\(s\) at .* Hz that start together, found",
            ),
            "NaN everywhere": (of_rows(all_nan, 2), f"{file}: .* found an incomplete line 3"),
            "zero length": (nothing, f"{file}: expected a start in UTC seconds, a rate"),
        },
    )


def deap_in(source: str, files: str, whole: str, inside: Callable[..., Change]) -> Container:
    name = re.escape(files)
    return Container(
        source,
        files,
        {
            "truncated": (half, f"{name}: expected a whole {whole}"),
            "wrong shape": (
                inside(place("data", to=lambda data: data[:, :32])),
                rf"{name}: data: expected numbers of shape .* found float64 \(2, 32, 8064\)",
            ),
            "wrong key or label": (
                inside(place("labels", name="ratings")),
                f"{name}: expected a (key|variable) 'labels', found .*data",
            ),
            "NaN everywhere": (
                inside(place("data", to=nan)),
                rf"s01: expected at least one recording in {name}, found none; all 2 trials are "
                "left out: eeg: all of the samples NaN",
            ),
            "zero length": (nothing, f"{name}: expected a whole {whole}"),
        },
    )


def features_of(folder: str, width: int, said: str) -> Container:
    name = rf"{folder}/1_123\.npz"
    return Container(
        "seed_v",
        f"{folder}/1_123.npz",
        {
            "truncated": (half, f"{name}: expected an archive of numpy"),
            "wrong shape": (
                in_archive("data", each(np.transpose)),
                rf"{name}: session 1, trial 1: data: expected numbers of shape \(rows, {width}\)",
            ),
            "wrong key or label": (
                in_archive("label", name="labels"),
                f"{name}: expected members data and label, found .*'labels'",
            ),
            "NaN everywhere": (in_archive("data", each(nan)), rf"found none; all 45 .*: {said}"),
            "zero length": (nothing, f"{name}: expected an archive of numpy"),
        },
    )


def songs(source: str, files: str, column: str) -> Container:
    """A table of PMEmo, and the column that is renamed."""
    name = re.escape(Path(files).name).replace(r"\*", ".*")
    return Container(
        source,
        files,
        {
            "truncated": (in_a_line, rf"{name}, line \d+: expected \d+ cells, found"),
            "wrong shape": (of_rows(one_more), rf"{name}, line 2: expected \d+ cells, found"),
            "wrong key or label": (
                swap(column.encode(), b"other"),
                f"{name}: expected .* found .*other",
            ),
            "NaN everywhere": (of_rows(without_values), f"{name}: expected numbers, found empty"),
            "zero length": (nothing, f"{name}: expected (column names|a column of times)"),
        },
    )


WESAD, QUEST, AMIGOS = r"S2\.pkl", r"S2_quest\.csv", r"Data_Preprocessed_P01\.mat"
BDF, XML, CNT = r"2/Part_1_S_Trial1_emotion\.bdf", r"2/session\.xml", r"1_1_20180804\.cnt"
LABELS, TABLE = r"labels\.csv", r"Improved_All_Combined_hr_rsp_binary\.csv"
N_CHANNELS, HEADER = 47, 256
"""Of a .bdf file: channels, and bytes of its own header and of each channel's."""
BELT, GSR = 44, 40
RATES = HEADER + N_CHANNELS * (16 + 80 + 8 + 8 + 8 + 8 + 8 + 80)


def idle(raw: bytes) -> bytes:
    """24 bits hold no NaN: where there is no signal, the belt reads 16."""
    first = HEADER * (1 + N_CHANNELS)
    samples = np.frombuffer(raw[first:], np.uint8).reshape(-1, N_CHANNELS, 256, 3).copy()
    samples[:, BELT] = [16, 0, 0]
    return raw[:first] + samples.tobytes()


CONTAINERS = {
    **{f"E4 {name}": e4(name, 3 if name == "ACC" else 1) for name in ("ACC", "BVP", "EDA", "TEMP")},
    "E4 labels": Container(
        "empatica_e4",
        "labels.csv",
        {
            "truncated": (in_a_line, rf"{LABELS}, line \d+: .* empty cells"),
            "wrong shape": (last_row_moved, f"{LABELS}, line 4: expected a time .*'P01'"),
            "wrong key or label": (swap(b"condition", b"label"), f"{LABELS}: expected the columns"),
            "NaN everywhere": (
                of_rows(without_values),
                rf"{LABELS}, line \d+: .* found empty cells",
            ),
            "zero length": (nothing, f"{LABELS}: expected the columns"),
        },
    ),
    "Stress-Predict labels": Container(
        "stress_predict",
        "Processed_data/*.csv",
        {
            "truncated": (in_a_line, f"{TABLE}: expected whole numbers in columns .*'Label'"),
            "wrong shape": (last_row_moved, f"{TABLE}: expected whole numbers in columns"),
            "wrong key or label": (swap(b"Label", b"Class"), f"{TABLE}: .*'Label'"),
            "NaN everywhere": (of_rows(without_values), f"{TABLE}: expected whole numbers"),
            "zero length": (nothing, f"{TABLE}: expected whole numbers in columns"),
        },
    ),
    "WESAD signals": Container(
        "wesad",
        "S2/S2.pkl",
        {
            "truncated": (half, f"{WESAD}: expected a whole pickle"),
            "wrong shape": (
                in_pickle(place("signal", "chest", "ECG", to=np.ravel)),
                rf"{WESAD}: signal/chest/ECG: expected numbers of shape \(T, 1\)",
            ),
            "wrong key or label": (
                in_pickle(place("signal", "chest", "Temp", name="TEMP")),
                f"{WESAD}: expected a key 'signal/chest/Temp', found .*'TEMP'",
            ),
            "NaN everywhere": (
                in_pickle(place("signal", "wrist", "BVP", to=nan)),
                f"{WESAD}: signal/wrist/BVP: expected finite values",
            ),
            "zero length": (nothing, f"{WESAD}: expected a whole pickle"),
        },
    ),
    "WESAD labels": Container(
        "wesad",
        "S2/S2.pkl",
        {
            "truncated": (lambda raw: raw[:-100], f"{WESAD}: expected a whole pickle"),
            "wrong shape": (
                in_pickle(place("label", to=lambda label: label[:, None])),
                rf"{WESAD}: label: expected whole numbers of shape \(T,\)",
            ),
            "wrong key or label": (
                in_pickle(place("label", to=lambda label: label + 1)),
                rf"{WESAD}: label: expected codes 0 to 7, found \[8\]",
            ),
            "NaN everywhere": (in_pickle(place("label", to=nan)), f"{WESAD}: label: .* float64"),
            "zero length": (
                in_pickle(place("label", to=lambda label: label[:0])),
                rf"{WESAD}: label: expected .* with T > 0, found int32 \(0,\)",
            ),
        },
    ),
    "WESAD questionnaires": Container(
        "wesad",
        "S2/S2_quest.csv",
        {
            "truncated": (half, f"{QUEST}: # DIM: expected 5 lines, found 0"),
            "wrong shape": (
                swap(b"# DIM;", b"# DIM;;"),
                f"{QUEST}: # DIM, Base: expected valence and arousal from 1 to 9",
            ),
            "wrong key or label": (
                swap(b";Base;", b";Rest;"),
                f"{QUEST}: # ORDER: expected Base, TSST",
            ),
            "NaN everywhere": (
                lambda raw: re.sub(rb"(?<=;)\d+\.?\d*", b"Nan", raw),
                f"{QUEST}: # START: expected 7 times as minutes.seconds, found Nan",
            ),
            "zero length": (nothing, f"{QUEST}: # ORDER: expected one line, found 0"),
        },
    ),
    "DEAP for Python": deap_in("deap", "data_preprocessed_python/s01.dat", "pickle", in_pickle),
    "DEAP for Matlab": deap_in(
        "deap for matlab", "data_preprocessed_matlab/s01.mat", "Matlab file", in_matlab
    ),
    "AMIGOS": Container(
        "amigos",
        "data_preprocessed/*/*.mat",
        {
            "truncated": (half, f"{AMIGOS}: expected a whole Matlab file"),
            "wrong shape": (
                in_matlab(place("joined_data", to=each(np.transpose))),
                rf"{AMIGOS}: joined_data, cell 1: expected numbers of shape \(T, 17\)",
            ),
            "wrong key or label": (
                in_matlab(place("VideoIDs", to=each(lambda cell: "7"))),
                f"{AMIGOS}: VideoIDs, cell 1: expected one of 10, .* found 7",
            ),
            "NaN everywhere": (
                in_matlab(place("joined_data", to=each(nan))),
                rf"P01: expected at least one recording in .*{AMIGOS}, found none; all 16 trials "
                "are left out: eeg: all of the samples NaN",
            ),
            "zero length": (nothing, f"{AMIGOS}: expected a whole Matlab file"),
        },
    ),
    "MAHNOB-HCI signals": Container(
        "mahnob_hci",
        "Sessions/2/*.bdf",
        {
            "truncated": (half, rf"{BDF}: expected a whole \.bdf file"),
            "wrong shape": (
                at(RATES + 8 * GSR, "8s", b"255     "),
                rf"{BDF}: expected one rate for all channels, found \[255.0, 256.0\] Hz",
            ),
            "wrong key or label": (
                swap(b"GSR1", b"GSR9"),
                f"{BDF}: expected a channel GSR1, found Fp1",
            ),
            "NaN everywhere": (idle, "1: .* resp: the amplifier was idle during the stimulus"),
            "zero length": (nothing, rf"{BDF}: expected a whole \.bdf file"),
        },
    ),
    "MAHNOB-HCI sessions": Container(
        "mahnob_hci",
        "Sessions/2/session.xml",
        {
            "truncated": (half, f"{XML}: expected an XML document"),
            "wrong shape": (
                swap(b"<subject", b"<person"),
                f"{XML}: subject id: expected a number, found None",
            ),
            "wrong key or label": (
                swap(b"sessionId", b"sessionNr"),
                f"{XML}: sessionId: expected a numb",
            ),
            "NaN everywhere": (
                lambda raw: re.sub(rb'(?<=feltArsl=")\d', b"nan", raw),
                "1: .* all 2 trials are left out: session.xml: no feltArsl from 1 to 9",
            ),
            "zero length": (nothing, f"{XML}: expected an XML document"),
        },
    ),
    "SEED-V EEG": features_of("EEG_DE_features", 310, "eeg_de: NaN or infinite"),
    "SEED-V eye": features_of("Eye_movement_features", 33, "eye: a feature is NaN in more than ha"),
    "SEED-V raw": Container(
        "seed_v raw",
        "EEG_raw/1_1_*.cnt",
        {
            "truncated": (half, f"{CNT}: expected at least .* bytes"),
            "wrong shape": (at(370, "<H", 67), f"{CNT}: expected at least .* of 67 channels"),
            "wrong key or label": (at(900, "4s", b"A1\0\0"), f"{CNT}: .* channels missing: FP1"),
            "NaN everywhere": (
                at(900 + 71, "<f", np.nan),
                "1: eeg: expected finite samples, found NaN",
            ),
            "zero length": (nothing, f"{CNT}: expected a header of 900 bytes, found 0"),
        },
    ),
    "PMEmo EDA": songs("pmemo", "EDA/*_EDA.csv", pmemo.LISTENERS[0]),
    "PMEmo annotations": songs("pmemo", "annotations/static_annotations.csv", "Valence(mean)"),
    "PMEmo frames": songs("pmemo dynamic", "annotations/dynamic_annotations.csv", "frameTime"),
    "PMEmo features": songs("pmemo", "features/static_features.csv", "musicId"),
}
"""Names are those of keys, columns, channels and labels."""


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Films of 4 s in SEED-V, whose raw recordings would take 2.4 GB; few features in PMEmo."""
    starts, names = tuple(range(0, 60, 4)), pmemo.feature_names()[:20]
    with pytest.MonkeyPatch.context() as patch:
        for session in ("1", "2", "3"):
            patch.setitem(seed_v_reader.STARTS, session, starts)  # type: ignore[arg-type]
            stops = tuple(start + 4 for start in starts)
            patch.setitem(seed_v_reader.STOPS, session, stops)  # type: ignore[arg-type]
        patch.setattr(seed_v_reader, "SHORTEST_ROWS", 1)
        for name, value in (("N_SHORT", 0), ("N_GAPS", 0), ("TAIL", 1)):
            patch.setattr(seed_v, name, value)
        for module in (pmemo, pmemo_reader):
            patch.setattr(module, "N_FEATURES", len(names))
        patch.setattr(pmemo_reader, "MUSIC_CHANNELS", pmemo_reader.MUSIC_CHANNELS[: len(names)])
        patch.setattr(pmemo, "feature_names", lambda: names)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders of the datasets, each written once."""
    folder = tmp_path_factory.mktemp("sound")

    def root(source: str) -> Path:
        if not (folder / source).exists():
            SOURCES[source].write(folder / source)
        return folder / source

    return root


def copy(written: Path, root: Path) -> Path:
    """The same files, without taking their room."""
    shutil.copytree(written, root, copy_function=os.link)
    return root


def damage(path: Path, change: Change) -> None:
    raw = path.read_bytes()
    path.unlink()  # the others of its copies stay as they are
    path.write_bytes(change(raw))


def stored(cache: Path) -> list[str]:
    """Everything in the cache, hidden or not."""
    return [path.name for path in cache.rglob("*")]


@pytest.mark.parametrize("source", SOURCES)
def test_sound_files_are_stored(
    source: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    used = SOURCES[source]
    store_subject(tmp_path, used.reader(written(source)), {}, used.subject)
    assert "meta.json" in stored(tmp_path)


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("name", CONTAINERS)
def test_damaged_files_are_named_and_nothing_is_stored(
    name: str, kind: Kind, written: Callable[[str], Path], tmp_path: Path
) -> None:
    container = CONTAINERS[name]
    source = SOURCES[container.source]
    root = copy(written(container.source), tmp_path / "raw")
    change, message = container.damages[kind]
    files = list(root.glob(container.files))
    assert files
    for path in files:
        damage(path, change)
    with pytest.raises(DatasetCorruptedError, match=message):
        store_subject(tmp_path / "cache", source.reader(root), {}, source.subject)
    assert stored(tmp_path / "cache") == []
