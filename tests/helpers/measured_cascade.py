"""A cascade folder with the files that the cascade stage would have written."""

import json

import pandas as pd

from tangodistill.cascade.outcomes import outcomes_of
from tangodistill.cascade.summary import operating_points
from tangodistill.cascade.timing import timing_of
from tangodistill.predictor.cascade_folder import write_cascade, write_record
from tangodistill.predictor.here import setup_here
from tangodistill.predictor.predictor import CascadePredictor
from tangodistill.tuning.measured_files import write_table


def write_measured(folder, record, tiers, texts):
    """Of two tiers in PyTorch, on texts whose labels are what the second tier says."""
    write_cascade(folder, record, tiers)
    record.calibrated = setup = setup_here(folder, record)
    write_record(folder, record)
    predictor = CascadePredictor.from_pretrained(folder)
    outputs = [tier.engine.outputs(texts) for tier in predictor.tiers]
    rows = pd.DataFrame(
        {
            "label": outputs[1].argmax(axis=1),
            "tier1_logits": list(outputs[0]),
            "tier2_logits": list(outputs[1]),
            "confidence": [answer.confidence for answer in predictor.predict(texts)],
            "tier1_time_s": 0.001,
            "tier2_time_s": 0.01,
            "text": texts,
        }
    )
    for name in ("calibration_predictions", "predictions"):
        write_table(folder, name, rows, setup)
    rows[["text", "label"]].to_parquet(folder / "selection_examples.parquet")
    batches = pd.DataFrame(
        [
            {"tier": tier, "batch_size": size, "repeat": 0, "n": 40, "seconds": each}
            for tier, size, each in ((1, 1, 0.04), (1, 8, 0.02), (2, 1, 0.4), (2, 4, 0.2))
        ]
    )
    write_table(folder, "batch_times", batches, setup)
    points = operating_points(outcomes_of(rows), rows["confidence"].to_numpy(), timing_of(rows, batches, (8, 4)))
    write_table(folder, "operating_points", pd.DataFrame(points), setup)
    engines = [{"engine": "torch", "precision": "fp32"}] * 2
    (folder / "summary.json").write_text(
        json.dumps({"metric": "accuracy", "label_names": record.label_names, "tiers": engines})
    )
    return folder
