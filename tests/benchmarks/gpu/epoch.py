"""Where the time of a run goes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.execution.profile import summary
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.store import Store
from tests.benchmarks.gpu.scale import Scale, made, moved
from tests.benchmarks.gpu.steps import step_of
from tests.benchmarks.speed.table import NO_AIM, Row

SUBJECTS, OPERATORS = 8, 25


def rows(scale: Scale) -> Iterator[Row]:
    """Yield seconds of whole runs; their parts, and operators of steps, go to files."""
    models = ("dnn", "cnn", "attention_lrcn", "emotionkd_student") if scale.cuda else ("dnn",)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = {"n_subjects": scale.times(SUBJECTS, 3), "phase": 60.0}
        prepared = {"synthetic": prepare("synthetic", Path(), folder / "cache", options, ())}
        for model in models:
            suite = Suite(
                "gpu",
                ("synthetic",),
                models=(model,),
                options={"synthetic": options},
                recipes={model: {"max_epochs": 3}},
            )
            run = expand(suite, prepared).runs[0]
            places = Places(folder, folder / "cache", folder / model, scale.device, profile=True)
            result = execute(run, places)
            table = summary(Store(places.runs), [run], 0.0)
            (scale.out / f"run_{model}.txt").write_text(table + "\n")
            yield Row(
                f"a run of {model}, three epochs",
                f"see run_{model}.txt",
                f"{sum(result.seconds.values()):.1f} s",
                "",
                "",
                NO_AIM if result.status == "done" else "done",
                result.status == "done",
            )
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if scale.cuda else [])]
    for model in models:
        network, batch = made(model, scale.times(64, 8))
        network, batch = network.to(scale.device).train(), moved(batch, scale.device)
        step = step_of(network, batch, scale)
        step()
        with profile(activities=activities) as measured:
            for _ in range(3):
                step()
            scale.wait()
        order = "self_device_time_total" if scale.cuda else "self_cpu_time_total"
        table = measured.key_averages().table(sort_by=order, row_limit=OPERATORS)
        (scale.out / f"step_{model}.txt").write_text(f"torch {torch.__version__}\n{table}\n")
        yield Row(f"operators of {model}", f"see step_{model}.txt", "", "", "", NO_AIM, True)
