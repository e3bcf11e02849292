"""What the parent of a sweep says of its jobs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from folkrnn import style
from folkrnn.command_line import main
from folkrnn.config.digest import job_key
from folkrnn.findings import Figure, Findings, Main
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.report.page import Report, write_report
from folkrnn.sweep.comparison import file_comparison, label, varied_settings
from folkrnn.sweep.environment import DIGEST, job_tags, parent
from folkrnn.tracking import finished_children, open_store, parent_run, start_parent, start_run
from folkrnn.vocabulary import V2
from folkrnn.weights.folder import save

ROOT = Path(__file__).parents[2]


def effect(kept: float) -> Findings:
    """What the analysis `effect` files of tunes of whose counting this share is kept."""
    from analyses.measures.divergence import PARTS
    from analyses.measures.tune_quantities import QUANTITIES

    def sums(full: float) -> np.ndarray:
        rows = [[20 * (full if name == "full_bars" else 0.5), 20] for name in QUANTITIES]
        return np.broadcast_to(np.array(rows, float), (10, len(QUANTITIES), 2)).copy()

    tunes = {
        "control": sums(0.9),
        "changed": sums(0.1 + 0.8 * kept),
        "floor": sums(0.1),
        "divergence": np.ones((10, len(PARTS), 2)),
    }
    metrics = {"counting_kept": kept, "counting_kept_low": kept - 0.1, "counting_kept_high": kept + 0.1}
    return Findings(metrics=metrics, arrays={"tunes": tunes})


@pytest.fixture
def compared(tmp_path):
    """A store with a parent, three jobs that ended well and one that failed, compared: (store, parent, its folder)."""
    store = open_store(None, "folkrnn", tmp_path)
    parent = start_parent(store, "cuts", overrides=["-m"])
    for dose, kept in (("0.1", 0.9), ("0.2", 0.7), ("0.4", 0.3)):
        words = ["intervention=cut_periodic", f"cut.fraction={dose}"]
        with start_run(store, dose, tmp_path / dose, overrides=words, parent=parent) as run:
            run.log_findings("effect", effect(kept))
    words = ["cut.fraction=0.9"]
    with pytest.raises(ValueError, match="no"), start_run(store, "x", tmp_path / "x", overrides=words, parent=parent):
        raise ValueError("no")
    tracked = parent_run(store, parent, tmp_path / "parent")
    assert file_comparison(tracked, finished_children(store, parent), seed=0)
    tracked.finish("FINISHED")
    return store, parent, tmp_path / "parent"


def test_the_parent_has_the_table_and_the_figures_that_compare_its_jobs(compared):
    store, parent, folder = compared
    run = store.client.get_run(parent)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["dose_response/counting_half_dose"] == pytest.approx(0.3)
    table = pd.read_csv(folder / "tables/sweep_comparison.csv")
    assert table["cut.fraction"].tolist() == [0.1, 0.2, 0.4]
    assert table["effect/counting_kept"].tolist() == [0.9, 0.7, 0.3]
    assert "intervention" not in table.columns
    filed = {entry.path for entry in store.client.list_artifacts(parent, "figures")}
    assert {"figures/dose_response_dose_response.png", "figures/sweep_comparison.png"} <= filed


def test_jobs_that_did_not_finish_are_left_out(compared):
    store, parent, _ = compared
    assert [child.name for child in finished_children(store, parent)] == ["0.1", "0.2", "0.4"]


def pretended(home):
    """A study that files what it was asked for: temperature as a number, a figure, and a report."""

    def study(config, overrides):
        store = open_store(None, "folkrnn", home)
        tags, heat = {DIGEST: job_key(config), **job_tags()}, config.sampling.temperature
        folder = home / "runs" / f"{config.model.name}-{heat}"
        with start_run(store, f"{heat}", folder, overrides=overrides, tags=tags, parent=parent()) as run:
            drawing = style.figure(width=2.0)
            drawing.subplots().plot([heat, 1])
            metrics = {"heat": heat, "heat_low": heat - 0.1, "heat_high": heat + 0.1, "other": 1.0}
            found = Findings(metrics, {"main": Figure(drawing, "")}, main={"heat": Main("{}")})
            run.log_findings("any", found)
            write_report(folder / "report.html", Report("a job"))
        return 0

    return study


def swept(home, *words):
    """Runs a sweep of pretended jobs; returns the folder of its parent."""
    there = [f"hydra.sweep.dir={home}", f"tracking.folder={home}"]
    assert main(["-m", "launcher=here", *words, *there], ROOT / "conf", pretended(home)) == 0
    return max((home / "runs/sweeps").iterdir(), key=lambda folder: folder.stat().st_mtime)


def test_a_job_that_another_command_finished_before_is_called_by_what_its_sweep_asks_for(tmp_path):
    earlier = ["seed=1", "sampling.tunes=64", f"hydra.sweep.dir={tmp_path}", f"tracking.folder={tmp_path}"]
    assert main(earlier, ROOT / "conf", pretended(tmp_path)) == 0  # as the defaults have it
    folder = swept(tmp_path, "sampling.temperature=0.5,1.0")
    table = pd.read_csv(folder / "tables/sweep_comparison.csv")
    assert table["sampling.temperature"].tolist() == [0.5, 1.0]
    assert table["any/heat"].tolist() == [0.5, 1.0]
    assert table["any/heat_low"].tolist() == [0.4, 0.9]
    assert not {"seed", "sampling.tunes", "any/other"} & set(table.columns)
    jobs = pd.read_csv(folder / "tables/sweep_jobs.csv")
    assert jobs["status"].tolist() == ["FINISHED", "SKIPPED"]
    assert jobs["overrides"].str.contains("sampling.temperature").all()


def test_the_parent_has_a_report_with_the_comparison_and_links_to_its_jobs(tmp_path):
    folder = swept(tmp_path, "sampling.temperature=0.5,0.7", "seed=3")
    page = (folder / "report.html").read_text()
    assert "2 of 2 jobs have come to their end" in page
    links = re.findall(r'href="(\.\./[^"]+)">([^<]+)<', page)
    assert [name for _, name in links] == ["sampling.temperature=0.5", "sampling.temperature=0.7"]
    assert all((folder / link).read_text().startswith("<!doctype html>") for link, _ in links)
    assert page.count("<img") == 1
    assert "any/heat" in page
    (run,) = open_store(None, "folkrnn", tmp_path).client.search_runs(["1"], "tags.sweep = 'parent'")
    assert "Any: heat goes from 0.5000 (temperature=0.5) to 0.7000 (temperature=0.7)." in page
    assert "2 runs that differ in sampling.temperature" in run.data.tags["mlflow.note.content"]


def test_two_models_in_one_sweep_give_one_figure_of_both(tmp_path):
    folder = swept(tmp_path, "model=folkrnn,folkrnn_small", "weights=scratch")
    table = pd.read_csv(folder / "tables/sweep_comparison.csv")
    assert table["model"].tolist() == ["folkrnn", "folkrnn_small"]
    figures = {path.stem for path in (folder / "figures").glob("*.png")}
    assert figures == {"sweep_comparison", "sweep_any_main"}
    assert "Any of folkrnn and folkrnn_small." in (folder / "figures/captions.md").read_text()


def test_jobs_are_labelled_by_what_they_differ_in():
    assert label({"intervention": "cut_random", "cut.fraction": "0.1", "seed": "2"}) == "cut_random fraction=0.1 seed=2"
    assert label({"model": "", "seed": ""}) == "default model seed=default"


def test_a_sweep_with_one_finished_job_has_nothing_to_compare(tmp_path):
    store = open_store(None, "folkrnn", tmp_path)
    parent = start_parent(store, "one")
    with start_run(store, "only", tmp_path / "only", parent=parent) as run:
        run.log_metrics({"a/b": 1.0})
    tracked = parent_run(store, parent, tmp_path / "parent")
    assert file_comparison(tracked, finished_children(store, parent), seed=0) == {}
    assert not (tmp_path / "parent" / "tables").exists()


def test_what_all_jobs_have_in_common_is_not_varied():
    words = [{"a": "1", "b": "x"}, {"a": "2", "b": "x"}, {"b": "x", "c": "3"}]
    assert varied_settings(words) == [{"a": "1", "c": ""}, {"a": "2", "c": ""}, {"a": "", "c": "3"}]


@pytest.mark.parametrize(
    ("name", "key", "values"),
    [
        ("part6", "cut.fraction", [0.1, 0.2, 0.27, 0.33, 0.5]),
        ("part7_cuts", "cut.layer", [1, 2, 3]),
        ("part8_suppress", "intervention", [["suppress_end"], ["suppress_measure"], ["suppress_input"]]),
    ],
)
def test_a_recipe_of_several_conditions_is_a_sweep_of_its_own(tmp_path, name, key, values):
    seen = []

    def record(config, _):
        seen.append(list(config.intervention) if key == "intervention" else OmegaConf.select(config, key))
        return 0

    there = [f"hydra.sweep.dir={tmp_path}", f"tracking.folder={tmp_path}", "launcher=here"]
    assert main([f"experiment={name}", *there], ROOT / "conf", record) == 0
    assert seen == values


@pytest.mark.slow
def test_jobs_of_a_sweep_of_cuts_share_their_control_and_are_compared(tmp_path):
    torch.manual_seed(0)
    save(tmp_path / "weights", FolkRNN(units=24, layers=2), V2, "# tiny\n")
    tunes = "\n".join(f"M:4/4\nK:Cmaj\nC D E F G A B c | {note} 8 |\n" for note in "CDEFGAB")
    (tmp_path / "tunes.txt").write_text(tunes)
    words = [
        "-m", "intervention=cut_random", "cut.fraction=0.1,0.5", "seed=range(2)", "cut.controls=1",
        "analysis=effect", "weights=checkpoint", f"weights.path={tmp_path / 'weights'}", "dataset=tokens",
        f"dataset.path={tmp_path / 'tunes.txt'}", "sampling.tunes=4", "sampling.max_tokens=30",
        "analysis.effect.resamples=20", "analysis.effect.shown=0", f"tracking.folder={tmp_path}",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "run.py", *words],
        cwd=ROOT, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=560, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # the control and two nulls: one of each for each seed, whatever the cut
    assert len(list((tmp_path / "cache/folkrnn").glob("control-*.npz"))) == 3 * 2
    (folder,) = (tmp_path / "runs/sweeps").glob("*/tables")
    table = pd.read_csv(folder / "sweep_comparison.csv")
    assert len(table) == 4
    curves = pd.read_csv(folder / "dose_response_dose_response.csv")
    assert curves["tunes"].tolist() == [8] * 4
    assert set(curves["series"].fillna("")) == {"", "random units"}
