import json
import shutil

import pytest
import torch
from quiet_trainer import trainer
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from tangodistill.modules import TinyBertIntermediateModule, TinyBertModule, TransferData

SIZES = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32}


@pytest.fixture(scope="module")
def stage_1(teacher, dataset, labelled):
    folder = labelled.parent / "intermediate"
    torch.manual_seed(0)
    module = TinyBertIntermediateModule(str(teacher), **SIZES, lr=2e-3)
    trainer(folder, max_epochs=2).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    return folder


@pytest.fixture(scope="module")
def tinybert(stage_1, dataset, labelled):
    folder = labelled.parent / "tinybert"
    torch.manual_seed(0)
    module = TinyBertModule(str(stage_1), lr=2e-3)
    trainer(folder, max_epochs=2).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    return folder


def test_stage_1_writes_a_classifier_and_its_loss(stage_1):
    model, loading = AutoModelForSequenceClassification.from_pretrained(stage_1, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    print(json.loads((stage_1 / "metrics.json").read_text()))


def test_stage_2(tinybert):
    print(json.loads((tinybert / "metrics.json").read_text()))
