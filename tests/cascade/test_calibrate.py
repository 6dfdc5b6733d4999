import numpy as np
import pytest
from hypothesis import given
from random_cascades import cases
from sklearn.metrics import roc_auc_score

from tangodistill.cascade.calibrate import auroc, calibration


@given(cases())
def test_auroc_equals_scikit_learn_ties_included(case):
    correct = case.labels == case.tier1
    if correct.all() or not correct.any():
        assert auroc(case.confidence, correct) is None
    else:
        assert auroc(case.confidence, correct) == pytest.approx(roc_auc_score(correct, case.confidence))


def test_real_confidence_ranks_right_above_wrong(real_case):
    found = calibration(real_case.labels == real_case.tier1, real_case.confidence)
    assert found["auroc"] > 0.8 and 0 < found["ece"] < 0.1


def test_certain_and_right_has_no_calibration_error():
    assert calibration(np.ones(2, bool), np.ones(2, np.float32)) == {"ece": 0.0, "auroc": None}
