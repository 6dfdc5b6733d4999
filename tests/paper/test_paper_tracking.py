import json

import pandas as pd
import wandb
from offline_run import read_offline_run

from tangodistill.paper.runs import read_rows
from tangodistill.paper.tables import paper_tables
from tangodistill.report.canvas import titled_axes
from tangodistill.report.tracking import log_paper


def test_tables_and_figures_are_one_offline_run(tmp_path, monkeypatch, capsys, finished_run):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    wandb.teardown()
    frames = {table.name: table.frame for table in paper_tables(read_rows([finished_run]))}
    log_paper(tmp_path / "paper", frames, {"figure2": titled_axes("title", "subtitle")[0]})
    wandb.teardown()

    assert capsys.readouterr().out.count("wandb sync") == 1
    held = read_offline_run(tmp_path / "paper")
    assert (held["run"].display_name, held["run"].job_type) == ("paper", "paper")
    for name, frame in frames.items():
        (path,) = [path for path in held["files"] if f"table/{name}" in path]
        table = json.loads((held["folder"] / path).read_text())
        logged = pd.DataFrame(table["data"], columns=table["columns"])
        assert list(logged) == list(frame) and list(logged["data"]) == list(frame["data"])
        assert pd.isna(logged["n"].iloc[0]) and logged["n"].dropna().tolist() == [400]
    (image,) = [path for path in held["files"] if "images/figure2" in path]
    assert (held["folder"] / image).read_bytes().startswith(b"\x89PNG")
