"""Fetching recordings; the server is on loopback, and can be made to misbehave."""

import dataclasses
import gzip
import hashlib
import io
import random
import re
import shutil
import stat
import tarfile
import zipfile
from types import SimpleNamespace

import pytest
from rich.console import Console

from benchmark.cli.main import main
from benchmark.errors import BenchmarkError
from benchmark.recordings import download as download_module
from benchmark.recordings import fetch as module
from benchmark.recordings.download import download
from benchmark.recordings.fetch import UnexpectedBytesError
from datamodules.catalogue import DATASETS
from datamodules.download import PackedFiles
from datamodules.wesad import WESADReader

NOISE = random.Random(0).randbytes(400_000)
FILES = {
    "Set-1/Raw_data/S02/EDA.csv": b"1\n4\n0.5\n",
    "Set-1/Raw_data/S02/BVP.csv": NOISE,
    "Set-1/LICENSE": b"MIT",
    "Set-1/notes.txt": b"not kept",
}
OTHER = FILES | {"Set-1/notes.txt": NOISE[::-1]}
KEPT = ["stress_predict/LICENSE"] + [f"stress_predict/Raw_data/S02/{n}.csv" for n in ("BVP", "EDA")]
HALF = ["data/.stress_predict.part", "data/.stress_predict.part.json"]
PARTS = ("Raw_data", "LICENSE")


def tar_of(files, **fields):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zip_of(files, mode=stat.S_IFREG | 0o644):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def digest_by_hand(files):
    lines = [
        f"{name.removeprefix('Set-1/')} {hashlib.sha256(files[name]).hexdigest()}\n"
        for name in [*sorted(n for n in files if "Raw_data" in n), "Set-1/LICENSE"]
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def on_record(monkeypatch, dataset, source):
    changed = dataclasses.replace(DATASETS[dataset], download=source)
    monkeypatch.setitem(DATASETS, dataset, changed)


@pytest.fixture
def place(server, tmp_path, monkeypatch):
    """Puts an archive on the server and on record, and fetches it."""

    def put(body, **fields):
        server.body = body
        whole = fields.pop("whole", False)
        sha256 = hashlib.sha256(body).hexdigest() if whole else digest_by_hand(FILES)
        record = {"url": server.url, "inside": "Set-1", "parts": PARTS, "sha256": sha256}
        record |= {"checked": "archive" if whole else "files", "unpacked": 1_000_000, "terms": "-"}
        on_record(monkeypatch, "stress_predict", PackedFiles(**(record | fields)))

    folder = tmp_path / "data"
    output = io.StringIO()

    root, part = folder / "stress_predict", folder / ".stress_predict.part"

    def fetch(**options):
        download("stress_predict", root, Console(file=output, **options))

    def arrives(**options):
        fetch(**options)
        assert names(folder) == KEPT

    def refused(match, error=BenchmarkError, left=()):
        with pytest.raises(error, match=match) as caught:
            fetch()
        assert names(tmp_path) == [*left]
        return str(caught.value)

    return SimpleNamespace(
        put=put, arrives=arrives, refused=refused, folder=folder, root=root, part=part, said=output
    )


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def interrupt(server, place):
    """Leaves a part of an archive behind, whatever the server is able to."""
    goes_on = server.ranges and (server.changed or server.etag == '"one"')
    server.drops = [150_000] + [0 if goes_on else 150_000] * 3
    place.refused(r"0\.1 MB .*the same command goes on", left=HALF)
    had = place.part.read_bytes()
    assert 0 < len(had) < len(server.body)
    assert had == server.body[: len(had)]
    server.drops.clear()
    server.log.clear()
    place.said.truncate(0)
    return len(had)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize("whole", [True, False])
def test_what_is_on_record_is_kept_and_nothing_else(server, place, pack, whole):
    place.put(pack(FILES), whole=whole)
    place.root.mkdir(parents=True)  # an empty folder may be there
    place.arrives()
    assert (place.root / "Raw_data/S02/BVP.csv").read_bytes() == NOISE
    assert [entry.range for entry in server.log] == [None]


@pytest.mark.parametrize("validator", ["etag", "changed"])
def test_a_later_call_asks_only_for_what_is_missing(server, place, validator):
    place.put(zip_of(FILES), whole=True)
    if validator == "changed":
        server.etag, server.changed = None, "Tue, 01 Sep 2026 10:00:00 GMT"
    had = interrupt(server, place)
    place.arrives()
    (entry,) = server.log
    assert entry.range == f"bytes={had}-"
    assert entry.condition == getattr(server, validator)
    assert entry.sent == len(server.body) - had
    percents = [int(n) for n in re.findall(r"downloaded: (\d+) %", place.said.getvalue())]
    assert min(percents) > 100 * had / len(server.body)


def test_a_lost_connection_is_taken_up_again(server, place):
    place.put(zip_of(FILES), whole=True)
    server.drops = [100_000, 100_000, 100_000, 50_000]  # more often than ATTEMPTS, but on and on
    place.arrives()
    first, *rest = (entry.range for entry in server.log)
    assert first is None
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for asked in rest]
    assert starts == sorted(set(starts))
    assert len(starts) == 4
    assert place.said.getvalue().count("interrupted") == 4


def test_a_server_that_falls_silent_counts_as_lost(server, place, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.1)
    place.put(zip_of(FILES), whole=True)
    server.drops, server.stall = [100_000], 0.4
    place.arrives()
    assert [entry.range is None for entry in server.log] == [True, False]


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_falters_is_asked_again(server, place, status):
    place.put(tar_of(FILES))
    server.statuses = [status]
    place.arrives()
    assert len(server.log) == 2


def test_a_changed_file_is_not_glued_to_an_old_half(server, place):
    place.put(zip_of(OTHER), whole=True)
    interrupt(server, place)
    place.put(zip_of(FILES), whole=True)
    server.etag = '"two"'
    place.arrives()
    (entry,) = server.log
    assert (entry.condition, entry.sent) == ('"one"', len(server.body))


@pytest.mark.parametrize("fault", ["careless", "shift", "long"])
def test_a_part_that_does_not_fit_is_thrown_away(server, place, fault):
    place.put(zip_of(OTHER), whole=True)
    interrupt(server, place)
    if fault == "careless":  # sends the rest of another file although If-Range forbids it
        place.put(zip_of(FILES), whole=True)
        server.etag, server.careless = '"two"', True
    elif fault == "shift":
        server.shift = 1
    else:
        place.part.write_bytes(bytes(len(server.body) + 5))
    place.arrives()
    assert [entry.range is None for entry in server.log] == [False, True]


def test_a_server_without_ranges_starts_anew(server, place):
    place.put(zip_of(FILES), whole=True)
    server.ranges = False
    interrupt(server, place)
    place.arrives()
    (entry,) = server.log
    assert (entry.range is None, entry.sent) == (False, len(server.body))
    assert "anew" in place.said.getvalue()


def test_without_ranges_it_ends_at_some_point(server, place):
    place.put(zip_of(FILES), whole=True)
    server.ranges, server.drops = False, [100_000] * 9
    place.refused("download failed", left=HALF)
    assert len(server.log) == 1 + module.ATTEMPTS


@pytest.mark.parametrize("etag", [None, 'W/"one"'])
def test_without_a_strong_validator_no_part_is_asked_for(server, place, etag):
    place.put(zip_of(FILES), whole=True)
    server.etag = etag
    interrupt(server, place)
    place.arrives()
    assert [entry.range for entry in server.log] == [None]


@pytest.mark.parametrize("note", [None, "{", "[]", '{"what": 1}'])
def test_a_part_without_its_note_is_not_trusted(server, place, note):
    place.put(zip_of(FILES), whole=True)
    place.folder.mkdir()
    place.part.write_bytes(server.body[:1000])
    if note is not None:
        place.part.with_name(place.part.name + ".json").write_text(note)
    place.arrives()
    assert [entry.range for entry in server.log] == [None]


@pytest.mark.parametrize("chunked", [True, False])
def test_a_complete_archive_is_not_fetched_twice(server, place, monkeypatch, chunked):
    place.put(tar_of(FILES))
    server.chunked = chunked
    with monkeypatch.context() as patch:
        patch.setattr(download_module, "unpack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            place.arrives()
    assert names(place.folder.parent) == HALF
    place.arrives()
    assert len(server.log) == 1


def interrupted(*words):
    raise KeyboardInterrupt


def test_a_chunked_body_that_breaks_off_is_not_taken_for_whole(server, place, monkeypatch):
    monkeypatch.setattr(module, "STEP", 100_000)
    place.put(tar_of(FILES))
    server.chunked, server.drops = True, [50_000]
    place.arrives()
    assert len(server.log) == 2
    assert place.said.getvalue().count("downloaded: 0 MB") == 4  # 400 kB in steps of 100


def test_a_half_unpacked_folder_of_a_killed_process_goes(place):
    place.put(tar_of(FILES))
    stale = place.folder / ".stress_predict.unpacking" / "Set-1" / "Raw_data" / "old.csv"
    stale.parent.mkdir(parents=True)
    stale.write_text("old")
    place.arrives()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("change", ["content", "name"])
def test_other_files_than_on_record_are_refused(server, place, whole, change):
    place.put(tar_of(FILES), whole=whole)
    changed = dict(FILES)
    content = changed.pop("Set-1/Raw_data/S02/EDA.csv")
    if change == "content":
        changed["Set-1/Raw_data/S02/EDA.csv"] = content + b"0.6\n"
    else:
        changed["Set-1/Raw_data/S03/EDA.csv"] = content
    server.body = tar_of(changed)
    message = place.refused("sha256", UnexpectedBytesError)
    assert not whole or hashlib.sha256(server.body).hexdigest() in message


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "..\\escaped", "C:/escaped"])
def test_a_zip_member_that_would_leave_the_folder_is_refused(place, name):
    place.put(zip_of({name: b"x"}), whole=True)
    place.refused("leads out of the folder", UnexpectedBytesError)


@pytest.mark.parametrize("name", ["../../escaped", "Set-1/../../../escaped"])
def test_a_tar_member_that_would_leave_the_folder_is_refused(place, name):
    place.put(tar_of({name: b"x"}), whole=True)
    place.refused("outside the destination", UnexpectedBytesError)


@pytest.mark.parametrize(
    "body",
    [
        zip_of({"Set-1/link": b"/etc/passwd"}, stat.S_IFLNK | 0o777),
        tar_of({"Set-1/link": b""}, type=tarfile.SYMTYPE, linkname="LICENSE"),
        tar_of({"Set-1/link": b""}, type=tarfile.LNKTYPE, linkname="LICENSE"),
        tar_of({"Set-1/pipe": b""}, type=tarfile.FIFOTYPE),
    ],
    ids=["zip", "symbolic", "hard", "pipe"],
)
def test_links_and_devices_are_refused(place, body):
    place.put(body, whole=True)
    place.refused("neither file nor folder", UnexpectedBytesError)


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_more_than_is_on_record_is_not_unpacked(place, pack):
    place.put(pack({"Set-1/bomb": bytes(300_000)}), whole=True, unpacked=299_999)
    place.refused("299999", UnexpectedBytesError)


def test_more_than_can_be_in_an_archive_is_not_fetched(place):
    place.put(NOISE, whole=True, unpacked=100_000)
    place.refused("at most 100000 bytes", UnexpectedBytesError)


TEXT = NOISE.hex().encode()


def damaged(body):
    return body[:200_000] + bytes(16) + body[200_016:]


def locked(body):
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = body.index(signature) + flags
        body = body[:at] + b"\1" + body[at + 1 :]
    return body


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "sound archive"),
        (b"<html>sign in</html>", "sound archive"),
        (tar_of(FILES)[:200_000], "sound archive"),
        (damaged(tar_of(FILES)), "sha256"),
        (gzip.compress(gzip.decompress(tar_of(FILES))[:200_000])[:-8] + bytes(8), "sound archive"),
        (damaged(zip_of(FILES)), "sound archive"),
        (damaged(zip_of({"Set-1/text": TEXT})), "sound archive"),
        (locked(zip_of(FILES)), "password"),
        (gzip.compress(b"no tar", mtime=0), "sound archive"),
        (tar_of({"Set-1/LICENSE": b"MIT"}), "Set-1/Raw_data"),
    ],
)
def test_what_is_no_sound_archive_is_refused(place, body, message):
    place.put(body)
    place.refused(message, UnexpectedBytesError)


@pytest.mark.parametrize(("free", "left"), [([500_000], False), ([10_000_000, 0], True)])
def test_a_full_disk_is_seen_before_it_is_full(server, place, monkeypatch, free, left):
    place.put(tar_of(FILES))
    room = iter(free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=next(room)))
    place.refused("MB of free disk", left=HALF if left else HALF[1:])


def test_what_is_there_of_an_archive_needs_no_more_room(server, place, monkeypatch):
    place.put(zip_of(FILES), whole=True)
    had = interrupt(server, place)
    free = 1_000_000 + len(server.body) - had
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    place.arrives()


def test_a_disk_that_cannot_be_written_is_said(place):
    place.put(tar_of(FILES))
    place.folder.write_text("a file where a folder should be")
    place.refused("cannot be written", left=["data"])


@pytest.mark.parametrize("status", [404, 403])
def test_an_address_that_is_gone_is_said_at_once(server, place, status):
    place.put(tar_of(FILES))
    server.statuses = [status]
    place.refused(f"{status}.*publisher")
    assert len(server.log) == 1


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:9/set", "download failed.*refused"),
        ("file:///etc/passwd", "expected an http or https address"),
        ("ftp://127.0.0.1/x", "expected an http or https address"),
        ("data:,x", "expected an http or https address"),
    ],
)
def test_an_address_that_cannot_be(place, url, message):
    place.put(b"", url=url)
    place.refused(message)


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://127.0.0.1:9/x"])
def test_redirected_only_to_http(server, place, scheme):
    place.put(tar_of(FILES))
    server.statuses, server.location = [302] * 3, scheme
    place.refused(r"not allowed|an ftp address")


def test_a_redirect_keeps_the_range(server, place):
    place.put(zip_of(FILES), whole=True)
    interrupt(server, place)
    server.statuses, server.location = [303], server.url + "/elsewhere"
    place.arrives()
    assert [entry.path for entry in server.log] == ["/set", "/set/elsewhere"]
    assert server.log[1].range == server.log[0].range is not None


def test_lines_of_progress(place, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 10_000)
    place.put(zip_of(FILES), whole=True)
    place.arrives()
    said = place.said.getvalue()
    percents = [int(n) for n in re.findall(r"downloaded: (\d+) % of 0\.4 MB\n", said)]
    assert percents == list(range(10, 101, 10))
    assert said.count("unpacked: 100 %") == 1
    assert "\x1b" not in said


def test_a_bar_on_a_terminal(server, place):
    place.put(zip_of(FILES), whole=True)
    interrupt(server, place)
    place.arrives(force_terminal=True, width=100)
    said = place.said.getvalue()
    assert "\x1b" in said
    assert re.search(r"downloaded .*40\d\.\d/40\d\.\d kB", said)
    assert "downloaded: " not in said


def test_a_folder_with_something_in_it_is_left_alone(server, place):
    place.put(tar_of(FILES))
    place.root.mkdir(parents=True)
    (place.root / "mine").write_text("precious")
    place.refused("not empty", left=["data/stress_predict/mine"])
    assert server.log == []


@pytest.mark.parametrize(
    "dataset", [name for name, known in DATASETS.items() if known.download is None]
)
def test_a_dataset_under_agreement_is_not_fetched(tmp_path, dataset):
    with pytest.raises(BenchmarkError, match="is not downloaded by this command") as caught:
        download(dataset, tmp_path / "x", Console(file=io.StringIO()))
    assert DATASETS[dataset].access in str(caught.value)
    assert DATASETS[dataset].layout in str(caught.value)
    assert names(tmp_path) == []


def test_the_record_of_wesad(server, place, monkeypatch):
    """The tree of the publisher's archive: 92 members, 76 of them files."""
    subjects = [f"S{number}" for number in range(2, 18) if number != 12]
    kinds = (".pkl", "_quest.csv", "_readme.txt", "_respiban.txt", "_E4_Data.zip")
    files = {f"WESAD/{s}/{s}{kind}": s.encode() for s in subjects for kind in kinds}
    files["WESAD/wesad_readme.pdf"] = b"readme"
    folders = dict.fromkeys(["WESAD/", *(f"WESAD/{s}/" for s in subjects)], b"")
    assert (len(files), len(files) + len(folders)) == (76, 92)
    server.body = zip_of(folders | files)
    source = DATASETS["wesad"].download
    assert source.url.startswith("https://")
    found = {"url": server.url, "sha256": hashlib.sha256(server.body).hexdigest()}
    on_record(monkeypatch, "wesad", dataclasses.replace(source, **found))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2e10))
    download("wesad", place.folder / "wesad", Console(file=io.StringIO()))
    assert names(place.folder) == sorted(name.replace("WESAD/", "wesad/") for name in files)
    assert WESADReader(place.folder / "wesad").files("S17")[0].read_bytes() == b"S17"


def test_the_command(place, capsys, monkeypatch):
    place.put(tar_of(FILES))
    words = ["data", "download", "stress_predict", "--root", str(place.root)]
    with monkeypatch.context() as patch:
        patch.setattr(download_module, "fetch", interrupted)
        assert main(words) == 130
    assert "goes on from it" in capsys.readouterr().err
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == f"stress_predict is in {place.root}, and is what is on record\n"
    assert "100 %" in said.err
    assert main(words) == 2
    assert "not empty" in capsys.readouterr().err
