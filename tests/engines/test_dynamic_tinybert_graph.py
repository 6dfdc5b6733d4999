"""A Dynamic-TinyBERT as a graph: in every batch size and length the answers of PyTorch, and really shorter."""

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from tiny_classifiers import ragged_batch, tiny_classifier

from tangodistill.engines.graphs import write_fp32
from tangodistill.models import DynamicTinyBertForSequenceClassification

BATCHES = [(3, 12, 7, 1, 9), (2,), (1,), (16, 16, 3), (5, 5, 5, 5), (2, 16)]


@pytest.fixture(scope="module", params=[[0.8, 0.5, 0.5, 0.2], [1.0, 1.0, 0.3, 0.01]])
def exported(request, tmp_path_factory):
    model = DynamicTinyBertForSequenceClassification.from_bert(tiny_classifier("bert"), request.param)
    example = {name: values.numpy() for name, values in ragged_batch("bert", (4, 3)).items()}
    return model, str(write_fp32(model, example, tmp_path_factory.mktemp("graph")))


@pytest.fixture(scope="module", params=["onnxruntime", "openvino"])
def run(request, exported):
    if request.param == "onnxruntime":
        session = onnxruntime.InferenceSession(exported[1])
        return lambda inputs: session.run(None, inputs)[0]
    compiled = openvino.Core().compile_model(exported[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda inputs: compiled(inputs)[0]


@pytest.mark.parametrize("lengths", BATCHES, ids=str)
@torch.no_grad()
def test_it_answers_as_pytorch(exported, run, lengths):
    inputs = ragged_batch("bert", lengths)
    expected = exported[0](**inputs).logits.numpy()
    found = run({name: values.numpy() for name, values in inputs.items()})
    np.testing.assert_allclose(found, expected, atol=1e-5)
