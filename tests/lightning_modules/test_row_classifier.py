"""RowClassifier: the four models share their recipes, their mask and their first layer."""

import pytest

from datamodules.batch import SignalSpec
from lightning_modules.cnn import CNN
from lightning_modules.cnn_lstm import CNNLSTM
from lightning_modules.dnn import DNN
from lightning_modules.lstm import LSTM
from lightning_modules.row_classifier import FAST, PUBLISHED, RowNetwork

FOUR = (DNN, LSTM, CNN, CNNLSTM)
EEG = {"eeg": SignalSpec(14, 64, 128.0)}
ROWS = {"eeg_de": SignalSpec(310, 10, 0.25)}


@pytest.mark.parametrize("kind", FOUR)
def test_all_four_take_masks_and_share_recipes(kind):
    assert kind.masks
    assert (kind.published, kind.fast) == (PUBLISHED, FAST)


@pytest.mark.parametrize("kind", FOUR)
def test_features_may_be_computed_once_where_any_are_computed(kind):
    model = kind(EEG, 2)
    assert isinstance(model.network, RowNetwork)
    assert model.front == model.network.rows.front
    assert model.front.key == ("FeatureRows", *EEG.items())
    assert kind(ROWS, 2).front is None


@pytest.mark.parametrize("kind", FOUR)
def test_layers_of_the_study_see_samples(kind):
    for layers in set(kind.networks) - {"rows"}:
        assert kind(EEG, 2, layers=layers).front is None
