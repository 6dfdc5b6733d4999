"""One small run of teacher, transfer set, student and cascade, shared by the tests of the modules."""

import lightning as L
import pytest
from quiet_trainer import trainer
from separable import write_encoder, write_glove, write_table

from tangodistill.augment.labelling import label
from tangodistill.augment.pipeline import augment
from tangodistill.augment.rules import RulesConfig
from tangodistill.data.sources import DatasetConfig
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.modules import DeeBertModule, StudentModule, TeacherModule, TextData, TransferData


@pytest.fixture(scope="session")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_table(folder / "data.csv")
    write_encoder(folder / "encoder")
    write_glove(folder / "glove.txt")
    return folder


@pytest.fixture(scope="session")
def dataset(inputs):
    return DatasetConfig(str(inputs / "data.csv"), positive="negative")


@pytest.fixture(scope="session")
def teacher(inputs, dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "teacher"
    L.seed_everything(0)
    trainer(folder, max_epochs=6).fit(TeacherModule(str(inputs / "encoder"), lr=2e-3), TextData(dataset, batch_size=16))
    return folder


@pytest.fixture(scope="session")
def labelled(teacher, dataset):
    augment(dataset, str(teacher.parent / "augment"), rules=RulesConfig(draws_per_text=3), workers=1)
    return label(str(teacher.parent / "augment"), str(teacher), str(teacher.parent / "label"))


@pytest.fixture(scope="session")
def student(inputs, dataset, labelled):
    folder = labelled.parent / "student"
    L.seed_everything(0)
    module = StudentModule(str(inputs / "glove.txt"), lr=5e-3)
    trainer(folder, max_epochs=2).fit(module, TransferData(dataset, str(labelled), batch_size=32))
    return folder


@pytest.fixture(scope="session")
def deebert(teacher, dataset):
    folder = teacher.parent / "deebert"
    L.seed_everything(0)
    trainer(folder, max_epochs=3).fit(DeeBertModule(str(teacher), lr=1e-2), TextData(dataset, batch_size=16))
    return folder


@pytest.fixture(scope="session")
def cascade(teacher, student, dataset):
    folder = teacher.parent / "cascade"
    module = CascadeModule([str(student), str(teacher)], repeats=2, protocol="paper", other_first_tiers=[str(student)])
    trainer(folder).validate(module, CascadeData(dataset), verbose=False)
    return folder
