"""Students that are encoders: taught by stored logits alone, whole or cut, and served by every engine."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from cut_off import Recorder, assert_resumes
from datasets import Features, List, Value
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from safetensors.torch import load_file
from separable import CLUES, write_roberta, write_table
from transformers import BertForSequenceClassification

from tangodistill.cli import main as cli
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.data.transfer import write_transfer_set
from tangodistill.engines.loading import load_engine
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.modules import EncoderStudentModule, TransferData
from tangodistill.tuning.export import export
from tangodistill.user_error import UserError

NAMES = ["negative", "positive"]


def stored(folder, dataset, names=NAMES):
    """The training texts as a transfer set whose logits follow the clue word, in the order of `names`."""
    rows = load_roles(dataset).train
    columns = {name: rows[name][:] for name in ("text", "text_pair") if name in rows.column_names}
    words = [set(text.split()) for text in columns["text"]]
    logits = [[3.0 if clues & own else -3.0 for clues in (set(CLUES[name]) for name in names)] for own in words]
    features = Features({name: Value("string") for name in columns} | {"logits": List(Value("float16"), len(names))})
    table = pa.table({**columns, "logits": pa.array(logits, features.arrow_schema.field("logits").type)})
    write_transfer_set(folder, [table], features, {"label_names": names})
    return str(folder)


@pytest.fixture(scope="module")
def labelled(dataset, tmp_path_factory):
    return stored(tmp_path_factory.mktemp("stored") / "label", dataset)


class Student(EncoderStudentModule):
    """It is saved whatever it learned."""

    def check_trained(self):
        return {}


def fit(folder, dataset, labelled, pretrained, kind=EncoderStudentModule, epochs=4, callbacks=(), **settings):
    torch.manual_seed(0)
    module = kind(str(pretrained), **{"lr": 2e-3, **settings})
    trainer(folder, max_epochs=epochs, callbacks=list(callbacks)).fit(module, TransferData(dataset, labelled, 16))
    return folder


@pytest.fixture(scope="module")
def whole(inputs, dataset, labelled, tmp_path_factory):
    return fit(tmp_path_factory.mktemp("run") / "whole", dataset, labelled, inputs / "encoder")


@pytest.fixture(scope="module")
def cut(inputs, dataset, labelled, whole):
    return fit(whole.parent / "cut", dataset, labelled, inputs / "encoder", layers=[2], loss="soft_cross_entropy")


@pytest.mark.parametrize("name", ["whole", "cut"])
def test_it_learns_from_stored_logits_alone(name, request):
    folder = request.getfixturevalue(name)
    assert TorchEngine.load(folder).outputs(["a lovely plot", "an awful plot"]).argmax(1).tolist() == [1, 0]
    scores = json.loads((folder / "metrics.json").read_text())
    assert scores["accuracy"] > 0.9 and scores["rows"] == 60 and scores["warnings"] == []
    assert not (folder / "checkpoints").exists()


def test_the_other_verbs_read_the_finished_folder(cut, dataset):
    module = EncoderStudentModule("gone", layers=[2])
    (tested,) = trainer(cut).test(module, TransferData(dataset, "gone"), verbose=False)
    assert tested["test/accuracy"] > 0.9 and module.model.config.num_hidden_layers == 1


def test_it_begins_with_the_chosen_layers_and_saves_no_others(inputs, dataset, labelled, tmp_path):
    """At a learning rate of 0 they are saved as they were."""
    fit(tmp_path, dataset, labelled, inputs / "encoder", Student, epochs=1, layers=[2], lr=0.0)
    assert json.loads((tmp_path / "config.json").read_text())["num_hidden_layers"] == 1
    own, source = load_file(tmp_path / "model.safetensors"), load_file(inputs / "encoder" / "model.safetensors")
    assert {name.split(".")[3] for name in own if ".layer." in name} == {"0"}
    for name, weight in own.items():
        if name.startswith("bert."):
            name = name.removeprefix("bert.").replace("layer.0.", "layer.1.")
            assert torch.equal(weight, source[name]), name


@pytest.mark.parametrize("names", [["wet", "dry", "warm"], ["positive", "negative"]])
def test_a_head_is_kept_where_its_labels_are_the_datas_by_name(names, inputs, dataset, tmp_path):
    """Both the head's and the stored logits' order may differ from the data's."""
    maps = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    source = BertForSequenceClassification.from_pretrained(inputs / "encoder", **maps)
    source.save_pretrained(tmp_path / "source")
    for file in (inputs / "encoder").glob("token*"):
        (tmp_path / "source" / file.name).write_bytes(file.read_bytes())
    labelled = stored(tmp_path / "label", dataset, NAMES[::-1])
    fit(tmp_path / "student", dataset, labelled, tmp_path / "source", epochs=3)
    engine = TorchEngine.load(tmp_path / "student")
    assert engine.label_names == tuple(NAMES if len(names) == 3 else names)
    answers = engine.outputs(["a lovely plot", "an awful plot"]).argmax(1)
    assert [engine.label_names[i] for i in answers] == ["positive", "negative"]


def test_pairs_and_another_architecture(inputs, tmp_path):
    table = write_table(tmp_path / "pairs.csv", pairs=True)
    dataset = DatasetConfig(str(table), text_columns=["text", "text_pair"])
    write_roberta(tmp_path / "roberta", tokenizer=inputs / "encoder")
    fit(tmp_path / "student", dataset, stored(tmp_path / "label", dataset), tmp_path / "roberta", layers=[1])
    assert json.loads((tmp_path / "student" / "metrics.json").read_text())["accuracy"] > 0.9
    engine = TorchEngine.load(tmp_path / "student")
    assert engine.facts.with_type_ids
    texts = ["a lovely plot", "an awful plot"]
    assert engine.outputs(texts, ["is it so 3 ?", "is it so 4 ?"]).argmax(1).tolist() == [1, 0]


def test_training_resumes_inside_an_epoch_with_the_same_weights(inputs, dataset, labelled, tmp_path):
    class Recorded(Recorder, Student):
        pass

    def module():
        return Recorded(str(inputs / "encoder"), layers=[2], lr=1e-3)

    assert_resumes(module, lambda: TransferData(dataset, labelled, batch_size=32), tmp_path)


def test_the_last_weights_are_kept(inputs, dataset, labelled, tmp_path):
    class Newest(Callback):
        def on_train_epoch_end(self, trainer, module):
            self.weights = {name: weight.clone() for name, weight in module.model.state_dict().items()}

    newest = Newest()
    fit(tmp_path, dataset, labelled, inputs / "encoder", Student, epochs=2, callbacks=[newest])
    kept = load_file(tmp_path / "model.safetensors")
    assert all(torch.equal(kept[name], weight) for name, weight in newest.weights.items())


def test_a_student_at_chance_stops_the_run(inputs, dataset, labelled, tmp_path):
    with pytest.raises(UserError, match=r"the student is at chance on the selection role: MCC -?0\.\d{3} on 60 rows"):
        fit(tmp_path, dataset, labelled, inputs / "encoder", epochs=1, lr=1e-9)
    assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"layers": [2, 1]},
            "model.layers is [2, 1]; it must rise, within the model's layers 1 to 2, for instance [1, 2].",
        ),
        ({"layers": [3]}, "model.layers is [3]; it must rise, within the model's layers 1 to 2, for instance [2]."),
        ({"temperature": 0.0}, "model.temperature is 0.0; give a number above 0."),
        (
            {"class_weights": {"fraud": 2.0}},
            "model.class_weights: no class is called 'fraud'; they are negative, positive.",
        ),
    ],
)
def test_what_cannot_be_done_is_told(settings, message, inputs, dataset, labelled, tmp_path):
    with pytest.raises(UserError) as error:
        fit(tmp_path, dataset, labelled, inputs / "encoder", **settings)
    assert str(error.value) == message


def test_every_engine_serves_the_folder_with_the_same_answers(cut, whole, dataset, tmp_path):
    output = export(
        tiers=[str(cut), str(whole)], dataset=dataset, output=str(tmp_path / "export"),
        formats=["onnxruntime-fp32", "openvino-fp32"],
    )  # fmt: skip
    texts = load_roles(dataset).report["text"][:]
    for tier, folder in enumerate((cut, whole), 1):
        expected = TorchEngine.load(folder).outputs(texts, batch_size=8)
        for name in ("onnxruntime", "openvino"):
            found = load_engine(output / f"tier{tier}", name, "fp32").outputs(texts, batch_size=8)
            np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_command_line_trains_one_and_says_what_is_next(inputs, labelled, tmp_path, capfd):
    model = ["--model=EncoderStudentModule", f"--model.pretrained={inputs / 'encoder'}", "--model.layers=[2]"]
    data = ["--data=TransferData", f"--data.dataset.source={inputs / 'data.csv'}", f"--data.transfer_set={labelled}"]
    limits = ["--model.lr=0.003", "--data.batch_size=16", "--trainer.max_epochs=3", "--trainer.logger=false"]
    folder = f"--trainer.default_root_dir={tmp_path / 'student'}"
    assert cli.main(["fit", *model, *data, *limits, folder, "--trainer.accelerator=cpu"]) == 0
    assert "Next, build the cascade: python -m tangodistill validate" in capfd.readouterr().out
    assert json.loads((tmp_path / "student" / "config.json").read_text())["num_hidden_layers"] == 1
