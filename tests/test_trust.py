"""What never runs: the Python files of a model folder, and what a checkpoint's pickle asks for."""

import json
import os

import pytest
import torch
from separable import write_encoder, write_table
from transformers import BertConfig, BertForSequenceClassification

from tangodistill.augment.causal_model import Writer
from tangodistill.augment.labelling import Labeller
from tangodistill.augment.masked_model import _read
from tangodistill.cli import main as cli
from tangodistill.data.tokenize import load_tokenizer
from tangodistill.engines.tier_folder import load_tier
from tangodistill.models.load import load_classifier, load_span_model
from tangodistill.recipe.overrides import is_trained
from tangodistill.user_error import UserError

NAMES = ["negative", "positive"]
CODE = """
import os
from transformers import BertConfig, BertForSequenceClassification

open(os.environ["RAN"], "a").close()


class OwnConfig(BertConfig):
    model_type = "own"


class Own(BertForSequenceClassification):
    config_class = OwnConfig
"""


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The file that a folder's code makes when it runs."""
    monkeypatch.setenv("RAN", str(tmp_path / "ran"))
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # who is asked says yes
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path):
    """A classifier whose config asks for a class in a Python file beside it."""
    folder = write_encoder(tmp_path / "own")
    _add_head(folder)
    (folder / "modeling_own.py").write_text(CODE)
    _edit(folder / "config.json", model_type="own", architectures=["Own"], auto_map={
        "AutoConfig": "modeling_own.OwnConfig",
        **{f"AutoModelFor{head}": "modeling_own.Own"
           for head in ("SequenceClassification", "QuestionAnswering", "MaskedLM", "CausalLM")},
    })  # fmt: skip
    return folder


def _add_head(folder):
    names = {"id2label": dict(enumerate(NAMES)), "label2id": {name: i for i, name in enumerate(NAMES)}}
    config = BertConfig.from_pretrained(folder, **names)
    BertForSequenceClassification(config).save_pretrained(folder)


def _edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def error_of(load, *arguments) -> str:
    with pytest.raises(UserError) as error:
        load(*arguments)
    return str(error.value)


def test_a_tier_never_runs_its_folders_code(folder, ran):
    assert error_of(load_tier, folder) == (
        f"{folder} brings Python files of its own (auto_map in config.json); a tier never runs any. "
        "Take a model that transformers itself knows."
    )
    assert not ran.exists()


@pytest.mark.parametrize("load", [load_classifier, load_span_model, lambda name: Labeller(name, 1, 8)])
def test_a_teacher_runs_its_code_only_where_it_is_trusted(folder, ran, load):
    assert error_of(load, str(folder)) == (
        f"{folder} brings Python files of its own (auto_map in config.json), which are not run unasked. Where you "
        "have read and trust them, a teacher runs them with `model.trust_remote_code: true` of its stage and "
        "`--trust_remote_code true` of `label`; a tier of a cascade never does."
    )
    assert not ran.exists()


@pytest.mark.parametrize("load", [_read, Writer.load])
def test_a_language_model_never_runs_its_folders_code(folder, ran, load):
    assert "contains custom code which must be executed" in error_of(load, str(folder))
    assert not ran.exists()


def test_a_tokenizer_runs_no_code_either(folder, ran):
    _edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "modeling_own.Own"]})
    _edit(folder / "config.json", model_type="bert", auto_map={})
    load_tokenizer(folder)
    assert not ran.exists()


def test_whether_a_teacher_is_trained_is_read_without_its_code(folder, ran):
    assert not is_trained(str(folder))
    _edit(folder / "config.json", architectures=["OwnForSequenceClassification"])
    assert is_trained(str(folder))
    assert not ran.exists()


def test_who_trusts_the_code_gets_the_model(folder, ran):
    model, new_head = load_classifier(str(folder), NAMES, trust_remote_code=True)
    assert type(model).__name__ == "Own" and not new_head
    assert ran.exists()


def test_a_known_architecture_needs_no_code_of_the_folder(folder, ran):
    _edit(folder / "config.json", model_type="bert")
    model, _ = load_tier(folder)
    assert type(model) is BertForSequenceClassification
    assert not ran.exists()


class Executes:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_checkpoint_is_read_as_tensors_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trap, encoder = tmp_path / "executed", write_encoder(tmp_path / "encoder")
    _add_head(encoder)
    torch.save({"state_dict": {}, "trap": Executes(str(trap))}, tmp_path / "last.ckpt")
    arguments = ["fit", "--model", "TeacherModule", "--model.pretrained", str(encoder), "--data", "TextData"]
    arguments += [
        "--data.dataset.source",
        str(write_table(tmp_path / "a.csv", 80)),
        "--data.batch_size",
        "8",
        "--trainer.logger",
        "false",
    ]
    arguments += ["--trainer.default_root_dir", str(tmp_path / "out"), "--ckpt_path", str(tmp_path / "last.ckpt")]
    assert cli.main(arguments) == 2
    assert (
        f"ckpt_path: {tmp_path / 'last.ckpt'} holds more than tensors and plain values, so it was not opened: reading "
        "it could run code. Give one that `fit` wrote (checkpoints/last.ckpt), or leave it out to begin anew."
    ) in " ".join(capsys.readouterr().err.split())
    assert not trap.exists()
    assert cli.main([*arguments, "--weights_only", "false"]) == 2  # nor can it be asked for
    assert "weights_only" in capsys.readouterr().err
    assert not trap.exists()
