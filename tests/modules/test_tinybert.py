import json

import numpy as np
import pytest
import torch
from cut_off import Recorder, assert_resumes
from lightning.pytorch.callbacks import Callback
from quiet_trainer import trainer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tangodistill.cascade.confidence import softmax
from tangodistill.data.splits import load_roles
from tangodistill.engines.torch_engine import TorchEngine
from tangodistill.measure import CascadeData, CascadeModule
from tangodistill.modules import TinyBertIntermediateModule, TinyBertModule, TransferData
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.user_error import UserError

SIZES = {"layers": 1, "hidden": 16, "heads": 2, "intermediate": 32}


def fit(module, folder, dataset, labelled, epochs=2, **settings):
    runner = trainer(folder, max_epochs=epochs, **settings)
    runner.fit(module, TransferData(dataset, str(labelled), batch_size=32))
    return runner


@pytest.fixture(scope="module")
def stage_1(teacher, dataset, labelled):
    folder = labelled.parent / "intermediate"
    torch.manual_seed(0)
    fit(TinyBertIntermediateModule(str(teacher), **SIZES, lr=2e-3), folder, dataset, labelled)
    return folder


@pytest.fixture(scope="module")
def tinybert(stage_1, dataset, labelled):
    folder = labelled.parent / "tinybert"
    torch.manual_seed(0)
    fit(TinyBertModule(str(stage_1), lr=2e-3), folder, dataset, labelled)
    return folder


def test_stage_1_writes_a_classifier_for_stage_2_and_its_loss(stage_1, teacher, dataset, labelled, tmp_path):
    model, loading = AutoModelForSequenceClassification.from_pretrained(stage_1, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert AutoTokenizer.from_pretrained(stage_1).get_vocab() == AutoTokenizer.from_pretrained(teacher).get_vocab()
    fit(TinyBertIntermediateModule(str(teacher), **SIZES, lr=1e-9), tmp_path, dataset, labelled, epochs=1)
    untrained, trained = (json.loads((folder / "metrics.json").read_text()) for folder in (tmp_path, stage_1))
    assert trained["loss"] < untrained["loss"] / 2 and trained["split"] == "selection" and trained["rows"] == 60
    assert not (stage_1 / "checkpoints").exists()


class Watch(Callback):
    """What happens to the teacher, the learning rate and the checkpoint while stage 1 trains."""

    def on_train_start(self, runner, module):
        self.before = {name: value.clone() for name, value in module.model.state_dict().items()}
        self.teacher = {name: value.clone() for name, value in module.frozen[0].state_dict().items()}
        self.rates = []

    def on_train_batch_end(self, runner, module, *_):
        self.rates.append(runner.optimizers[0].param_groups[0]["lr"])
        assert module.model.training and not any(part.training for part in module.frozen[0].modules())

    def on_train_end(self, runner, module):
        runner.save_checkpoint(module.root / "seen.ckpt")


@pytest.fixture(scope="module")
def watched(teacher, dataset, labelled):
    watch, module = Watch(), TinyBertIntermediateModule(str(teacher), **SIZES)
    fit(module, labelled.parent / "watched", dataset, labelled, epochs=1, callbacks=[watch])
    watch.module, watch.checkpoint = module, torch.load(module.root / "seen.ckpt", weights_only=True)
    return watch


def test_the_teacher_is_frozen_and_absent_from_checkpoints(watched):
    after = watched.module.frozen[0].state_dict()
    assert all(torch.equal(after[name], value) for name, value in watched.teacher.items())
    parts = {name.split(".")[0] for name in watched.checkpoint["state_dict"]}
    assert parts == {"model", "embedding_map", "hidden_map"}
    assert max(value.shape[0] for name, value in watched.checkpoint["state_dict"].items() if "layer" in name) == 32


def test_stage_1_trains_all_but_the_head_at_a_constant_rate(watched):
    after = watched.module.model.state_dict()
    unchanged = {name for name, value in watched.before.items() if torch.equal(after[name], value)}
    assert unchanged == {name for name in after if "pooler" in name or "classifier" in name}
    assert set(watched.rates) == {5e-5}


@torch.inference_mode()
def test_the_loss_of_a_text_is_the_same_alone_padded_and_among_others(teacher, stage_1):
    torch.manual_seed(0)
    module = TinyBertIntermediateModule(str(teacher), **SIZES)
    module.build(["negative", "positive"], 64)
    module.eval()
    encode = AutoTokenizer.from_pretrained(teacher)
    texts = ["good", "the plot was bad and very dull", "a film with a great cast and a truly fine story 12"]
    alone = [torch.stack(module.losses(encode([text], return_tensors="pt"))) for text in texts]
    together = torch.stack(module.losses(encode(texts, padding=True, return_tensors="pt")))
    torch.testing.assert_close(together, torch.stack(alone).mean(0), atol=1e-5, rtol=1e-5)
    padded = encode(texts[:1], padding="max_length", max_length=30, return_tensors="pt")
    torch.testing.assert_close(torch.stack(module.losses(padded)), alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("build", [TinyBertIntermediateModule, TinyBertModule])
def test_training_resumes_inside_an_epoch_in_the_same_order(build, teacher, stage_1, dataset, labelled, tmp_path):
    class Recorded(Recorder, build):
        pass

    def module():
        return Recorded(str(stage_1), lr=1e-3) if build is TinyBertModule else Recorded(str(teacher), **SIZES, lr=1e-3)

    assert_resumes(module, lambda: TransferData(dataset, str(labelled), batch_size=64), tmp_path)


def test_stage_2_learns_the_teachers_answers(tinybert, dataset):
    engine = TorchEngine.load(tinybert)
    assert engine.outputs(["a lovely plot", "an awful plot"]).argmax(1).tolist() == [1, 0]
    scores = json.loads((tinybert / "metrics.json").read_text())
    assert scores["accuracy"] > 0.9 and scores["rows"] == 60
    (tested,) = trainer(tinybert).test(TinyBertModule("gone"), TransferData(dataset, "gone"), verbose=False)
    assert tested["test/accuracy"] > 0.9


def test_it_answers_one_text_as_among_64(tinybert, dataset):
    texts, engine = load_roles(dataset).report[:64]["text"], TorchEngine.load(tinybert)
    alone = np.concatenate([engine.outputs([text], batch_size=1) for text in texts])
    np.testing.assert_allclose(alone, engine.outputs(texts, batch_size=64), atol=1e-5)


def test_it_is_a_first_tier(tinybert, teacher, dataset, tmp_path):
    module = CascadeModule([str(tinybert), str(teacher)], repeats=2)
    trainer(tmp_path).validate(module, CascadeData(dataset), verbose=False)
    texts = load_roles(dataset).report[:40]["text"]
    answers = CascadePredictor.from_pretrained(tmp_path).predict(texts, 0.0)
    assert {answer.tier for answer in answers} == {1}
    outputs = softmax(TorchEngine.load(tinybert).outputs(texts)).max(axis=1)
    np.testing.assert_allclose([answer.probability for answer in answers], outputs, atol=1e-5)


def test_stage_1_has_no_answers_to_test(teacher, dataset, labelled, tmp_path):
    with pytest.raises(UserError, match="stage 1 trains no head"):
        trainer(tmp_path).test(TinyBertIntermediateModule(str(teacher), **SIZES), TransferData(dataset, str(labelled)))


def test_another_students_head_count_is_refused(teacher):
    with pytest.raises(UserError, match="has 4 attention heads, but the teacher 2.*set model.heads to 2"):
        TinyBertIntermediateModule(str(teacher), **SIZES | {"heads": 4}).build(["negative", "positive"], 64)


def test_start_layers_need_the_start_that_copies_them(teacher):
    module = TinyBertIntermediateModule(str(teacher), **SIZES, start_layers=[1])
    message = "start_layers are taken with model.start 'teacher' or 'compressed', but start is 'random'"
    with pytest.raises(UserError, match=message):
        module.build(["negative", "positive"], 64)


def test_a_start_from_the_teacher_copies_the_layers_it_learns_from(teacher):
    module = TinyBertIntermediateModule(str(teacher), "teacher", layers=1, hidden=32, heads=2, intermediate=64)
    module.build(["negative", "positive"], 64)
    own = AutoModelForSequenceClassification.from_pretrained(teacher).base_model
    assert torch.equal(
        module.model.base_model.encoder.layer[0].output.dense.weight, own.encoder.layer[1].output.dense.weight
    )
    assert torch.equal(module.hidden_map.weight, torch.eye(32))


def test_a_checkpoint_with_other_tokens_is_refused(teacher, stage_1, tmp_path):
    for file in stage_1.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer = (tmp_path / "tokenizer.json").read_text().replace('"lovely"', '"loveable"')
    (tmp_path / "tokenizer.json").write_text(tokenizer)
    module = TinyBertIntermediateModule(str(teacher), str(tmp_path), **SIZES)
    with pytest.raises(UserError, match="start from a model with the same vocabulary"):
        module.build(["negative", "positive"], 64)
    TinyBertIntermediateModule(str(teacher), str(stage_1), **SIZES).build(["negative", "positive"], 64)
