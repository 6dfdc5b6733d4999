"""What each engine and precision costs in quality: per tier, and for the cascade, against PyTorch in fp32.

    python benchmarks/precisions.py runs/sst2/cascade --data SST-2 --task sst2 [--keep 0.99] [--json FILE]
    python benchmarks/precisions.py runs/squad/cascade --data squad --task squad

Every format that `export` left in the cascade folder answers the calibration and the report role. A cascade of two
formats gets its own threshold: the least deferral that keeps the share of its second tier's metric on the calibration
role. All numbers shown are on the report role. Nothing is timed.
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from tangodistill.tuning.tier_pair import TierPair

from tangodistill.cascade.gates import Gates
from tangodistill.data.sources import DatasetConfig
from tangodistill.data.splits import load_roles
from tangodistill.tuning.agreements import accepted

REFERENCE = "torch-fp32"
Outputs = dict[tuple[int, str], np.ndarray]  # (tier, format) -> (n, k), as the cascade reads them


def answers(folder: Path, role: TierPair) -> Outputs:
    """Every accepted format of both tiers on the examples of a role."""
    keys = [(tier, key) for tier in (1, 2) for key in accepted(folder, tier)]
    return {(tier, key): role.outputs(role.engine(tier, key)) for tier, key in keys}


def of_tiers(found: Outputs, role: TierPair) -> list[dict]:
    rows = []
    for (tier, key), outputs in found.items():
        reference = found[tier, REFERENCE]
        value = role.score(outputs)
        rows.append(
            {
                "tier": tier,
                "format": key,
                role.metric: value,
                "against_fp32": value - role.score(reference),
                "same_answers": float(role.readout.same(outputs, reference).mean()),
            }
        )
    return rows


def of_cascades(on: dict[str, Outputs], roles: dict[str, TierPair], keep: float) -> list[dict]:
    """The first tier in each precision with the second in each; other engines in fp32 would only repeat the first."""
    rows, metric = [], roles["report"].metric
    keys = {
        tier: [key for number, key in on["report"] if number == tier and (key == REFERENCE or not key.endswith("fp32"))]
        for tier in (1, 2)
    }
    for first, second in product(keys[1], keys[2]):
        swept = {}
        for role, pair in roles.items():
            gate, judge = on[role][1, first], on[role][2, second]
            thresholds, moves = Gates(pair.readout.confidence(gate)).sweep()
            swept[role] = thresholds, moves.made / len(pair.texts), pair.outcomes(gate, judge).metrics_at(moves)[metric]
        thresholds, _, values = swept["calibration"]
        threshold = thresholds[np.argmax(values >= keep * values[-1])]
        thresholds, deferred, values = swept["report"]
        point = min(int(np.searchsorted(thresholds, threshold)), len(thresholds) - 1)
        value = float(values[point])
        rows.append(
            {
                "first": first,
                "second": second,
                "threshold": float(threshold),
                "deferral_rate": float(deferred[point]),
                metric: value,
            }
        )
    plain = next(row[metric] for row in rows if (row["first"], row["second"]) == (REFERENCE, REFERENCE))
    return [{**row, "against_fp32": row[metric] - plain} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cascade", type=Path)
    parser.add_argument(
        "--data", required=True, help="GLUE folder, table or SQuAD folder that the cascade was measured on"
    )
    parser.add_argument("--task", default="custom")
    parser.add_argument("--keep", type=float, default=0.99, help="share of the second tier's metric")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data, pair = load_roles(DatasetConfig(arguments.data, arguments.task)), TierPair.of_cascade(arguments.cascade)
    roles = {"calibration": pair.on(data.calibration), "report": pair.on(data.report)}
    on = {role: answers(arguments.cascade, each) for role, each in roles.items()}
    tiers, cascades = of_tiers(on["report"], roles["report"]), of_cascades(on, roles, arguments.keep)
    metric = pair.metric
    print(f"{len(data.report):,} examples of the report role ({data.files['report']}); score: {pair.metric_title}")
    print(f"{'tier':6}{'format':26}{'score':>9}{'Δ':>9}{'same':>9}")
    for row in tiers:
        print(
            f"{row['tier']:<6}{row['format']:26}{row[metric]:9.4f}{row['against_fp32']:+9.4f}{row['same_answers']:9.2%}"
        )
    print(f"\n{'first tier':26}{'second tier':26}{'score':>9}{'Δ':>9}{'deferred':>10}")
    for row in cascades:
        print(
            f"{row['first']:26}{row['second']:26}{row[metric]:9.4f}{row['against_fp32']:+9.4f}"
            f"{row['deferral_rate']:10.1%}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"tiers": tiers, "cascades": cascades}, indent=2) + "\n")


if __name__ == "__main__":
    main()
