import os
import subprocess
import sys

import pytest
from huggingface_hub import constants

from tangodistill.data import hub_access

NOBODY = "http://127.0.0.1:9"  # refuses connections at once
MODEL = "from tangodistill.models.load import load_config; load_config('no-one/nothing')"
DATA = "from tangodistill.data.hub import hub_revision; hub_revision('no-one/nothing')"


@pytest.mark.parametrize(
    "code, wanted",
    [
        (MODEL, "Give a folder with config.json and model.safetensors, or a hub name while the hub can be reached."),
        (DATA, "Without the hub, give dataset.source (--data) a local path"),
    ],
)
def test_a_hub_that_does_not_answer_is_given_up_at_once_with_what_to_give_instead(tmp_path, code, wanted):
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment |= {"HF_ENDPOINT": NOBODY, "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    *_, last = done.stderr.splitlines()
    assert last.startswith("tangodistill.user_error.UserError: ") and wanted in last
    assert "Retry" not in done.stderr + done.stdout


@pytest.fixture
def session(monkeypatch):
    """The hub's client, which notes what it is asked and answers with a status or an error."""

    class Session:
        asked, answer = [], 200

        def head(self, url, timeout):
            self.asked.append((url, timeout))
            if isinstance(self.answer, Exception):
                raise self.answer
            return type("Response", (), {"status_code": self.answer})

    session = Session()
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: session)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "")
    hub_access.answers.cache_clear()
    yield session
    hub_access.answers.cache_clear()


def test_a_hub_that_answers_is_used_and_asked_once_and_never_about_a_folder(tmp_path, session):
    hub_access.spare_the_wait(tmp_path)
    assert session.asked == []
    for _ in range(2):
        hub_access.spare_the_wait("bert-base-uncased")
    assert session.asked == [(constants.ENDPOINT, 3.0)]
    assert not constants.HF_HUB_OFFLINE and not os.environ["HF_HUB_OFFLINE"]


@pytest.mark.parametrize("answer", [OSError("no route"), TimeoutError(), 502])
def test_one_that_does_not_is_left_alone_from_then_on(session, monkeypatch, answer):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    session.answer = answer
    for _ in range(2):
        hub_access.spare_the_wait("bert-base-uncased")
    assert len(session.asked) == 1
    assert constants.HF_HUB_OFFLINE and datasets.config.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_mirror_without_a_front_page_answers(session, status):
    session.answer = status
    assert hub_access.answers("https://mirror.example")
