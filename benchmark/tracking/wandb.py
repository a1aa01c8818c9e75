"""Weights & Biases: a run each, with its curves, and one with the leaderboards.

Bound to the client's minor version in ``pyproject.toml``: settings that begin with ``x_`` are its
own business and may change with it.
"""

import hashlib
import io
import os
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import wandb
from wandb.sdk import wandb_setup

from benchmark.files import matching, visible
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.tables import with_names
from benchmark.tracking.content import draw_confusion, mean_scores, plain
from benchmark.tracking.names import WandbMode

INIT_TIMEOUT, FINISH_TIMEOUT = 30.0, 60.0
"""Seconds that the server has to accept a run, and to receive the rest of it at its end."""
DEAD_TIMEOUT = 5.0
"""Seconds that the client has to end where no server answers."""
PRIVATE: dict[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "docker": "",
    "email": "",
    "host": "",
    "program": "",
    "sagemaker_disable": True,
    "save_code": False,
    "username": "",
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""Settings that send nothing about the machine, its user, its folders or the command."""
QUIET: dict[str, Any] = {"quiet": True, "show_warnings": False, "silent": True}
TRACKED = "tracked"
"""Name of an empty file in the folder of a run that is written completely."""
TAG = 64
"""Length of the longest tag in characters."""
FOLDERS = re.compile(r"(?<![\w:./])(?:/[^/\s\"'<>:,;()\[\]]+)+/")
"""Pattern of the folders of an absolute path."""


def end_client(timeout: float) -> None:
    """End the client and its service process, which otherwise may wait for ever for a dead server.

    Args:
        timeout: Seconds after which the process is killed; what was written stays on the disk.
    """
    setup: Any = wandb_setup._singleton
    service = setup._connection._proc if setup and setup._connection else None
    killer = threading.Timer(timeout, service._process.kill if service else lambda: None)
    killer.daemon = True
    killer.start()
    try:
        wandb.teardown()
    except SystemExit:  # with the status of the process
        pass
    finally:
        killer.cancel()


class _Listener:
    """Receives the lines that the client would write on the terminal.

    The client says only there that the server refuses data for good.
    """

    def __init__(self) -> None:
        self.refused = False

    def info(self, msg: str) -> None:
        """Ignore a message."""

    def warning(self, msg: str) -> None:
        self.refused |= "Fatal error while uploading" in msg

    error = warning


class WandbWriter:
    """Writes runs with the client of Weights & Biases.

    If the server cannot be reached, or stops answering, it warns once and goes on offline; a run
    that the server did not receive completely is written offline as well.

    Args:
        mode: ``"offline"`` touches no network.
        suite: Name of the suite, which becomes the project.
        root: Folder of the runs; files are kept in ``<root>/wandb`` in every mode.
        warn: Function that takes a warning when online turns into offline.
    """

    def __init__(
        self, mode: WandbMode, suite: str, root: Path, warn: Callable[[str], None]
    ) -> None:
        self.mode, self.root, self._warn = mode, root, warn
        self.project = re.sub(r"[/\\#?%:]", "-", suite)
        self.folder = root / "wandb"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._written = {
            path.parent.name.rpartition("-")[2] for path in matching(self.folder, f"*/{TRACKED}")
        }
        self._client = _Listener()
        self._ready = False

    def has(self, run: Run) -> bool:
        return run.id in self._written

    def write(self, result: Scored, curves: Mapping[int, Mapping[str, float]]) -> None:
        run = result.run
        tags = (run.dataset, run.task, run.protocol.split, run.model, run.kind, run.distiller)
        about = {
            "id": run.id,
            "name": f"{run.name} fold {run.fold} seed {run.seed}",
            "group": f"{run.board}/{run.name}",
            "job_type": "distillation" if run.distiller else "training",
            "tags": sorted({tag[:TAG] for tag in tags if tag}),
            "config": plain(run.as_dict()),
        }
        summary = plain(result.as_dict() | result.derived)
        for name in ("error", "traceback"):
            summary[name] = without_folders(summary[name])

        def log(tracked: wandb.Run) -> None:
            tracked.define_metric("*", summary="none")  # the result is the summary, nothing else
            for epoch, values in curves.items():
                tracked.log({"epoch": epoch, **values}, step=epoch)
            last: dict[str, Any] = mean_scores(result)
            if result.confusion:
                last["confusion_matrix"] = wandb.Image(draw_confusion(result))
            if last:
                tracked.log(last, step=max(curves, default=0))
            # The server forgets what is null.
            tracked.summary.update({n: "null" if v is None else v for n, v in summary.items()})

        self._write(about, log, exit_code=0 if result.status == "done" else 1)

    def write_boards(self, folder: Path) -> None:
        """Write every table as a table, and all tables and the report as files.

        Online they are an artifact, too. Equal leaderboards are written once.
        """
        tables, report = matching(folder, "*.csv"), folder / "report.html"
        files = [*tables, *([report] if report.is_file() else [])]
        content = b"".join(path.name.encode() + path.read_bytes() for path in files)
        key = hashlib.sha256(content).hexdigest()[:12]
        if key in self._written:
            return
        read = {path.stem: read_table(path.read_text()) for path in tables}
        about = {
            "id": key,
            "name": "leaderboards",
            "job_type": "leaderboards",
            "config": {"how_to_read": {name: head for name, (head, _) in read.items() if head}},
        }

        def log(tracked: wandb.Run) -> None:
            for name, (_, table) in read.items():
                cells: list[Any] = (
                    table.astype(object).where(table.notna(), None).to_numpy().tolist()
                )
                columns: list[str | int] = list(table.columns)
                shown: Any = wandb.Table(columns=columns, data=cells, allow_mixed_types=True)
                # Otherwise the client makes an artifact of it, with the path of a local file.
                shown.bind_to_run(tracked, f"leaderboards/{name}", 0)
                tracked.log({f"leaderboards/{name}": shown}, step=0)
            if report in files:
                tracked.log({"report": wandb.Html(report.read_text(), inject=False)}, step=0)
            kept = Path(tracked.dir) / "leaderboards"
            kept.mkdir()
            for path in files:
                shutil.copyfile(path, kept / path.name)
            tracked.save(f"{kept}/*", base_path=tracked.dir, policy="now")
            if not tracked.offline:
                _log_artifact(tracked, kept)

        self._write(about, log)

    def close(self) -> None:
        end_client(FINISH_TIMEOUT)

    def _write(
        self, about: dict[str, Any], log: Callable[[wandb.Run], None], exit_code: int = 0
    ) -> None:
        """Write one run of Weights & Biases: online if that works, else offline."""
        if self.mode == "online":
            try:
                self._log_in()
                self._write_in("online", about, log, exit_code)
                return
            except Exception as error:  # whatever the client raises where the server is gone
                self.mode = "offline"
                end_client(DEAD_TIMEOUT)  # it would go on trying, and hold the run
                reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
                self._warn(
                    f"Weights & Biases: {reason}. Runs are kept offline from now on; "
                    f"WANDB_PROGRAM=affectbench wandb sync {self.folder}/offline-run-* sends them"
                )
        self._write_in("offline", about, log, exit_code)

    def _log_in(self) -> None:
        """Find the user's key without a question, and have the server check it."""
        if self._ready:
            return
        settings = wandb.Settings(mode="online", **QUIET, **PRIVATE)
        wandb.setup(settings=settings)
        wandb.termsetup(settings, self._client)
        if not wandb.login(prompt=False, verify=True):
            raise ConnectionError("no key of the user was found; wandb login asks for one")
        self._ready = True

    def _write_in(
        self,
        mode: WandbMode,
        about: dict[str, Any],
        log: Callable[[wandb.Run], None],
        exit_code: int,
    ) -> None:
        for before in matching(self.folder, f"*run-*-{about['id']}"):
            shutil.rmtree(before)
        tracked = wandb.init(
            project=self.project,
            dir=self.root,
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(
                init_timeout=INIT_TIMEOUT,
                finish_timeout=FINISH_TIMEOUT,
                finish_timeout_raises=True,
                **QUIET,
                **PRIVATE,
            ),
            **about,
        )
        try:
            log(tracked)
        finally:
            tracked.finish(exit_code=exit_code)
        if mode == "online" and self._client.refused:
            raise ConnectionError("the server refused what it was sent")
        (Path(tracked.dir).parent / TRACKED).touch()
        self._written.add(about["id"])


def _log_artifact(tracked: wandb.Run, folder: Path) -> None:
    """Send the files of a folder as an artifact.

    The client sends the local path of each file along; one that leads out of the current folder
    says too much, then there is no artifact.
    """
    local = Path(os.path.relpath(folder))
    if ".." in local.parts:
        return
    artifact = wandb.Artifact("leaderboards", "leaderboards")
    for path in visible(local):
        artifact.add_file(str(path), skip_cache=True, policy="immutable")
    tracked.log_artifact(artifact)


def read_table(text: str) -> tuple[list[str], pd.DataFrame]:
    """Return the comment lines at the head of a CSV, and the table below them."""
    lines = text.splitlines(keepends=True)
    head = []
    while lines and lines[0].startswith("# "):
        head.append(lines.pop(0).strip("# \n"))
    return head, with_names(pd.read_csv(io.StringIO("".join(lines))))


def without_folders(text: str) -> str:
    """Return a message whose absolute paths are cut to the names of their files."""
    home = str(Path.home())
    return FOLDERS.sub("", text.replace(home, "/~") if len(home) > 1 else text)
