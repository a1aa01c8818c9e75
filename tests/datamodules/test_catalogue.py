"""The catalogue, and what the face of the package makes of it."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

import datamodules
from datamodules.batch import Batch
from datamodules.catalogue import DATASETS
from datamodules.datamodule import (
    EmotionDataModule,
    Loading,
    Selection,
    class_name,
    datamodule_of,
)
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.fold import Windowing
from datamodules.protocol import Protocol

NAMES = {
    "wesad": "WESADDataModule",
    "stress_predict": "StressPredictDataModule",
    "wearable_stress": "WearableStressDataModule",
    "eegmat": "EEGMATDataModule",
    "deap": "DEAPDataModule",
    "amigos": "AMIGOSDataModule",
    "mahnob_hci": "MAHNOBHCIDataModule",
    "pmemo": "PMEmoDataModule",
    "seed_v": "SEEDVDataModule",
    "empatica_e4": "EmpaticaE4DataModule",
    "synthetic": "SyntheticDataModule",
    "noise": "NoiseDataModule",
}
"""As the programs of users spell them."""

FRESH = """
import sys
from datamodules import DATASETS
for dataset in DATASETS.values():
    for split in dataset.splits:
        dataset.check_split(split)
    dataset.window_inputs(tuple(dataset.signals), 10.0)
    assert dataset.every_task() and dataset.unit_name and dataset.available({})
heavy = {"torch", "lightning", "sklearn"} & set(sys.modules)
assert not heavy, heavy
"""


def test_facts_of_datasets_need_no_torch() -> None:
    subprocess.run([sys.executable, "-c", FRESH], check=True)


def test_the_face_of_the_package() -> None:
    assert datamodules.DATASETS is DATASETS
    assert datamodules.EmotionDataModule is EmotionDataModule
    assert datamodules.Dataset is Dataset
    assert {"DATASETS", "Dataset", "EmotionDataModule", "Loading", "Protocol"} <= set(
        dir(datamodules)
    )
    assert {*dir(datamodules)} >= {"Selection", "Windowing"}
    for name in datamodules.__all__:
        assert getattr(datamodules, name).__name__ == name if name != "DATASETS" else True
    for name in ("NobodyDataModule", "DataModule", "wesad_data_module", "Wesad"):
        with pytest.raises(AttributeError, match=name):
            getattr(datamodules, name)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_each_dataset_has_a_datamodule_of_its_own(dataset: Dataset) -> None:
    name = class_name(dataset)
    assert name == NAMES.get(dataset.name, name)
    cls = getattr(datamodules, name)
    assert cls is getattr(datamodules, name) is datamodule_of(dataset)
    assert issubclass(cls, EmotionDataModule)
    assert (cls.__name__, cls.__qualname__, cls.__module__) == (name, name, "datamodules")
    assert pickle.loads(pickle.dumps(cls)) is cls
    described = sys.modules[dataset.reader.__module__].__doc__
    assert described
    assert cls.__doc__ == described


def test_it_can_be_imported_by_its_name(tmp_path: Any) -> None:
    from datamodules import SyntheticDataModule, WESADDataModule

    module = SyntheticDataModule(cache_dir=tmp_path, seed=3)
    assert module.dataset is DATASETS["synthetic"]
    assert module.seed == 3
    assert WESADDataModule(tmp_path).dataset is DATASETS["wesad"]
    assert WESADDataModule(root=str(tmp_path)).reader.root == tmp_path
    selection = datamodules.Selection(task="joy")
    with pytest.raises(IncompatibleRunError, match="WESAD: expected a task among"):
        WESADDataModule(tmp_path, selection)


PICKLED = """
import pickle, sys
from datamodules.catalogue import DATASETS
cls = pickle.loads(bytes.fromhex(sys.argv[1]))
assert cls.__name__ == "SEEDVDataModule", cls
"""


def test_another_process_can_unpickle_its_class() -> None:
    cls = datamodule_of(DATASETS["seed_v"])
    subprocess.run([sys.executable, "-c", PICKLED, pickle.dumps(cls).hex()], check=True)


class Linear(L.LightningModule):
    """A layer over one signal, with a hyperparameter of its own."""

    def __init__(self, n_times: int, width: int = 2) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(n_times, width)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.layer(batch.signals["temp"][:, 0]), batch.target)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_its_settings_are_shown_by_loggers_and_kept(tmp_path: Path) -> None:
    selection = Selection("stress", ["temp"], options={"n_subjects": 4, "phase": 60.0})
    protocol = Protocol("subject_hold_out", flags=("select_on_test",))
    module = datamodules.SyntheticDataModule(
        selection=selection, protocol=protocol, seed=3, cache_dir=tmp_path
    )
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=0,
        log_every_n_steps=1,
        logger=CSVLogger(tmp_path, "logs", version=0),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Linear(module.inputs["temp"].n_times), datamodule=module)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    logged = yaml.safe_load((tmp_path / "logs" / "version_0" / "hparams.yaml").read_text())
    content = torch.load(tmp_path / "model.ckpt", weights_only=True)
    again = pickle.loads(pickle.dumps(module))
    for shown in (logged, content["datamodule_hyper_parameters"], again.hparams, module.hparams):
        data = shown["data"]
        assert [data[name] for name in ("dataset", "task", "signals", "fold", "seed")] == [
            *("synthetic", "stress", ["temp"], 0, 3)
        ]
        assert Protocol(**{**data["protocol"], "flags": tuple(data["protocol"]["flags"])}) == (
            protocol
        )
        assert Windowing(**data["windowing"]) == module.windowing
        assert Loading(**data["loading"]) == module.loading
    assert (logged["n_times"], logged["width"]) == (module.inputs["temp"].n_times, 2)


def test_checkpoints_of_runs_have_no_settings_of_data() -> None:
    """What a run is of stands in its own file beside its checkpoint."""
    assert not EmotionDataModule(DATASETS["synthetic"]).hparams
