"""A process that has answered forks, as `gunicorn --preload` does: the child answers alike, and ends."""

import os
import subprocess
import sys

import pytest
from exported_tier import exported

from tangodistill.engines.tier_record import EXPORT_RECORD, TierRecord
from tangodistill.predictor.cascade_folder import OperatingPoint, write_cascade

PARENT = """
import os, sys, time
from tangodistill import CascadePredictor

folder, wanted = sys.argv[1:]
cascade = CascadePredictor.from_pretrained(folder)
texts = ["a good film", "the plot is dull and not very good"] * 12
expected = {threshold: cascade.predict(texts, threshold) for threshold in (0.0, 0.9, 2.0)}
if wanted == "removed":
    os.remove(f"{folder}/tier1/onnx/fp32.onnx")
child = os.fork()
if child == 0:
    for threshold, answers in expected.items():
        assert cascade.predict(texts, threshold) == answers, threshold
    assert cascade.predict(texts[0], 2.0).label == expected[2.0][0].label
    sys.exit(7)  # as a worker does that ends: what it holds is destroyed
assert cascade.predict(texts, 0.9) == expected[0.9]
until = time.monotonic() + 60
while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
    if time.monotonic() > until:
        os.kill(child, 9)
        sys.exit("the child hangs")
    time.sleep(0.02)
assert os.waitstatus_to_exitcode(ended[1]) == 7
"""


@pytest.fixture(scope="module")
def graphs(bilstm_folder, bert_folder, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    for name, source in (("tier1", bilstm_folder), ("tier2", bert_folder)):
        (folder / name).mkdir()
        exported(source, folder / name, texts, quantise=False)
    (folder / EXPORT_RECORD).write_text("[]")
    return folder


@pytest.fixture
def cascade(tmp_path, graphs, bilstm_folder, bert_folder, make_record):
    """Writes a cascade of one engine: the first tier runs passes side by side, the second threads in a pass."""

    def write(engine):
        records = [TierRecord(f"tier{i}", f"tier{i}", engine, batch_size=8, threads=i) for i in (1, 2)]
        record = make_record(tiers=records, points=[OperatingPoint([f"{engine}-fp32"], [0.9])])
        write_cascade(tmp_path / "cascade", record, [bilstm_folder, bert_folder], graphs)
        return tmp_path / "cascade"

    return write


def run(folder, wanted="whole"):
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "true"}
    command = [sys.executable, "-c", PARENT, str(folder), wanted]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)


@pytest.mark.parametrize("engine", ["torch", "onnxruntime", "openvino"])
def test_a_forked_child_answers_and_ends(cascade, engine):
    done = run(cascade(engine))
    assert done.returncode == 0, done.stderr


def test_a_child_that_finds_no_graph_says_so(cascade):
    done = run(cascade("onnxruntime"), "removed")
    assert "fp32.onnx cannot be read (" in done.stderr and "Run `python -m tangodistill export` again." in done.stderr
