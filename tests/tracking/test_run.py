import io
import json
import math
import os
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import PIL.Image
import pytest
import yaml
from matplotlib.figure import Figure as Drawing

from folkrnn.config.figures import Figures
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.tracking import children, open_store, parent_run, start_parent, start_run, upload
from folkrnn.tracking.journal import Journal
from folkrnn.tracking.numbers import meaningful


def drawing(lines=1):
    figure = Drawing(figsize=(3, 2))
    axes = figure.subplots()
    for i in range(lines):
        axes.plot([0, 1, 2], [i, i + 1, i], label=f"unit {i}")
    return figure


@pytest.fixture
def findings():
    return Findings(
        metrics={"entropy": 1.25, "p(|:)": 0.5},
        figures={"heat": Figure(drawing(), "A heat map."), "mean": Figure(drawing(2), "A mean.")},
        tables={"by type": pd.DataFrame({"type": ["pitch"], "share": [0.62]})},
        arrays={"distributions": {"probs": np.eye(3), "ids": np.arange(3)}},
    )


def artifacts(store, run_id, path=None):
    return sorted(item.path for item in store.client.list_artifacts(run_id, path))


def content(store, run_id, path, tmp_path):
    return (tmp_path / store.client.download_artifacts(run_id, path, str(tmp_path))).read_bytes()


def test_parameters_are_flat_and_the_configuration_is_also_a_file(store, tmp_path):
    config = {"model": {"layers": 3, "units": [512] * 3}, "sampling": {"prime": "M:6/8 K:Cdor"}, "seed": 1}
    with start_run(store, "a", tmp_path / "results") as run:
        run.log_params(config)
        run.log_params({"many": {f"{i:03d}": i for i in range(250)}}, file=None)
    found = store.client.get_run(run.run_id)
    assert found.data.params["model.units"] == "[512, 512, 512]"
    assert found.data.params["many.249"] == "249"
    assert len(found.data.params) == 254
    assert yaml.safe_load(content(store, run.run_id, "config.yaml", tmp_path)) == config
    assert yaml.safe_load((tmp_path / "results" / "config.yaml").read_text()) == config


def test_a_run_tells_where_it_came_from(store, tmp_path):
    with start_run(store, "a", tmp_path / "r", overrides=["seed=1"], tags={"weights.digest": "abc"}) as run:
        pass
    tags = store.client.get_run(run.run_id).data.tags
    assert tags["command"] == "python run.py seed=1"
    assert tags["weights.digest"] == "abc"
    told = json.loads(content(store, run.run_id, "provenance.json", tmp_path))
    assert {"command", "git.commit", "git.dirty", "version.torch", "version.mlflow", "device"} <= set(told)
    assert not [tag for tag in tags if tag.startswith(("version.", "git."))]
    assert os.uname().nodename not in " ".join(value for key, value in tags.items() if key != "mlflow.user")


def test_metrics_are_logged_with_their_steps_in_batches_of_any_size(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        for step in (10, 20, 30):
            run.log_metrics({"val/nats_per_token": 1 / step}, step=step)
        run.log_metrics({f"activations/l3.h/{i}": i for i in range(2500)})
    history = store.client.get_metric_history(run.run_id, "val/nats_per_token")
    assert [(metric.step, metric.value) for metric in history] == [(10, 0.1), (20, 0.05), (30, 1 / 30)]
    assert len(store.client.get_run(run.run_id).data.metrics) == 2501
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["activations/l3.h/2499"] == 2499


def test_what_is_not_finite_is_listed_and_kept_out_of_the_charts(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_metrics({"loss": 2.0, "ratio": math.inf}, step=1)
        run.log_metrics({"loss": math.nan}, step=2)
        run.log_metrics({"loss": math.nan, "np": np.float32(0.5)}, step=3)
    found = store.client.get_run(run.run_id)
    assert found.data.metrics == {"loss": 2.0, "np": 0.5}
    assert found.data.tags["metrics.undefined"] == "ratio=inf at step 1, loss=nan at step 2"


def test_findings_are_filed_under_the_name_of_their_analysis(store, tmp_path, findings):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("posterior", findings)
    assert store.client.get_run(run.run_id).data.metrics == {
        "posterior/entropy": 1.25,
        "posterior/p._x7C_:": 0.5,
    }
    assert artifacts(store, run.run_id) == ["arrays", "figures", "images", "provenance.json", "tables"]
    assert artifacts(store, run.run_id, "figures") == [
        "figures/captions.md", "figures/posterior_heat.png", "figures/posterior_mean.png",
    ]  # fmt: skip
    table = pd.read_csv(io.BytesIO(content(store, run.run_id, "tables/posterior_by_type.csv", tmp_path)))
    assert table.to_dict("list") == {"type": ["pitch"], "share": [0.62]}
    arrays = np.load(tmp_path / "r" / "arrays" / "posterior_distributions.npz")
    assert (arrays["probs"] == np.eye(3)).all()
    with PIL.Image.open(tmp_path / "r" / "figures" / "posterior_heat.png") as image:
        assert image.size == (900, 600)  # 3 × 2 inches at 300 dots per inch
        assert image.info["Description"] == "A heat map."
    assert "**posterior_mean**: A mean." in (tmp_path / "r" / "figures" / "captions.md").read_text()


def test_only_the_main_figure_is_an_image_of_the_compare_view(store, tmp_path, findings):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("posterior", findings)
    images = artifacts(store, run.run_id, "images")
    assert [path.rsplit(".", 1)[1] for path in images] == ["webp", "png"] or len(images) == 2
    assert all(path.startswith("images/posterior~heat+step+0+") for path in images)
    assert store.client.get_run(run.run_id).data.tags["mlflow.loggedImages"] == "True"


def test_findings_of_several_steps_lie_side_by_side(store, tmp_path, findings):
    with start_run(store, "a", tmp_path / "r") as run:
        for step in (5, 10):
            run.log_findings("activations", findings, step=step)
    assert "figures/activations_heat_step000005.png" in artifacts(store, run.run_id, "figures")
    assert "tables/activations_by_type_step000010.csv" in artifacts(store, run.run_id, "tables")
    steps = {path.split("+")[2] for path in artifacts(store, run.run_id, "images")}
    assert steps == {"5", "10"}
    assert len(store.client.get_metric_history(run.run_id, "activations/entropy")) == 2


def test_figures_are_filed_in_the_format_asked_for_beside_png_with_the_numbers_drawn(store, tmp_path, findings):
    with start_run(store, "a", tmp_path / "r", figures=Figures("svg", data=True)) as run:
        run.log_findings("posterior", findings)
    with start_run(store, "b", tmp_path / "s", figures=Figures("pdf")) as run:
        run.log_findings("posterior", findings)
    assert sorted(path.name for path in (tmp_path / "s" / "figures").glob("*mean*")) == [
        "posterior_mean.pdf",
        "posterior_mean.png",
    ]
    assert (tmp_path / "s" / "figures" / "posterior_mean.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "r" / "figures" / "posterior_mean.svg").read_text().count("<svg") == 1
    drawn = pd.read_csv(tmp_path / "r" / "figures" / "posterior_mean.csv")
    assert drawn.query("series == 'unit 1'")["y"].tolist() == [1, 2, 1]


def test_a_dataset_is_an_input_of_the_run(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_dataset("irish", "d" * 64, "music21: O'Neill", {"tunes": np.int64(4248), "split": {"val": 200}})
        run.log_dataset("irish", "d" * 64, "music21: O'Neill", {"tunes": 4248, "split": {"val": 200}}, "validation")
    (first, *_) = store.client.get_run(run.run_id).inputs.dataset_inputs
    assert (first.dataset.name, first.dataset.digest) == ("irish", "d" * 36)
    assert json.loads(first.dataset.profile) == {"tunes": 4248, "split": {"val": 200}}
    assert "O'Neill" in first.dataset.source
    assert (first.tags[0].key, first.tags[0].value) == ("mlflow.data.context", "training")


def test_texts_bytes_and_files_are_kept_in_both_places(store, tmp_path):
    (tmp_path / "outside.mid").write_bytes(b"MThd")
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_text("X:1\nK:Cdor\n", "tunes/1.abc")
        run.log_file(tmp_path / "outside.mid", "tunes/1.mid")
        run.log_file(tmp_path / "outside.mid")
        (tmp_path / "r" / "checkpoints").mkdir()
        (tmp_path / "r" / "checkpoints" / "last.ckpt").write_bytes(b"weights")
        run.log_file(tmp_path / "r" / "checkpoints" / "last.ckpt")
        for outside in ("../escape.txt", "/etc/escape.txt", "."):
            with pytest.raises(ValueError, match="not a place inside"):
                run.log_text("no", outside)
    assert artifacts(store, run.run_id) == ["checkpoints", "outside.mid", "provenance.json", "tunes"]
    assert artifacts(store, run.run_id, "tunes") == ["tunes/1.abc", "tunes/1.mid"]
    assert content(store, run.run_id, "tunes/1.mid", tmp_path) == b"MThd"
    assert (tmp_path / "r" / "outside.mid").read_bytes() == b"MThd"


def test_names_of_files_that_are_not_utf_8_are_filed_with_their_bytes_in_hexadecimal(store, tmp_path):
    name = os.fsdecode(b"l\xe5tar.abc")
    with start_run(store, f"dataset.path={name}", tmp_path / "r", overrides=[f"dataset.path={name}"]) as run:
        run.log_params({"dataset": {"path": name}})
        run.log_dataset(name, "1", name, {name: 1})
        run.log_text(f"# {name}", "card.md")
        run.describe(name)
    found = store.client.get_run(run.run_id)
    assert found.info.run_name == r"dataset.path=l\xe5tar.abc"
    assert found.data.params["dataset.path"] == r"l\xe5tar.abc"
    assert r"l\xe5tar.abc" in found.data.tags["command"]
    assert content(store, run.run_id, "card.md", tmp_path) == rb"# l\xe5tar.abc"
    assert yaml.safe_load(content(store, run.run_id, "config.yaml", tmp_path)) == {"dataset": {"path": name}}


def test_the_description_heads_the_page_of_the_run(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.describe("**One tune**")
    assert store.client.get_run(run.run_id).data.tags["mlflow.note.content"] == "**One tune**"


def test_the_link_names_its_store_whatever_a_plain_mlflow_ui_would_show(store, lab, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_PORT", raising=False)
    with start_run(store, "a", tmp_path / "r") as run:
        page = (
            f"http://127.0.0.1:5000/#/experiments/{store.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
        )
        command = f"mlflow ui --backend-store-uri 'sqlite:///{lab}/mlflow.db'"
        assert run.link == f"{command}   then open {page}"
        monkeypatch.setenv("MLFLOW_PORT", "5055")
        assert run.link == f"{command}   then open {page.replace('5000', '5055')}"


def test_an_exception_ends_a_run_as_failed_with_its_traceback(store, tmp_path):
    with pytest.raises(ZeroDivisionError), start_run(store, "a", tmp_path / "r") as run:
        _ = 1 / 0
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags["ended"] == "ZeroDivisionError: division by zero"
    assert b"1 / 0" in content(store, run.run_id, "traceback.txt", tmp_path)


def test_a_failed_part_lets_the_run_go_on_and_end_as_failed(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        try:
            _ = "".index("G")
        except ValueError as error:
            run.log_failure("gramians", error)
        run.log_metrics({"posterior/entropy": 1.0})
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert found.data.metrics == {"posterior/entropy": 1.0}
    assert found.data.tags["ended"] == "gramians: ValueError: substring not found"
    assert b'index("G")' in content(store, run.run_id, "tracebacks/gramians.txt", tmp_path)


@pytest.mark.parametrize(
    ("code", "status"), [(None, "FINISHED"), (0, "FINISHED"), (1, "FAILED"), ("no", "FAILED"), (143, "KILLED")]
)
def test_an_exit_tells_the_status(store, tmp_path, code, status):
    with pytest.raises(SystemExit), start_run(store, "a", tmp_path / "r") as run:
        raise SystemExit(code)
    assert store.client.get_run(run.run_id).info.status == status


def test_a_folder_that_holds_a_run_is_not_written_over(store, tmp_path):
    with start_run(store, "first", tmp_path / "r"):
        pass
    with (
        pytest.raises(UserError, match="holds the run 'first' already"),
        start_run(store, "second", tmp_path / "r"),
    ):
        pass


def test_a_resumed_run_goes_on_under_its_id_and_tells_what_changed(store, tmp_path):
    with pytest.raises(KeyboardInterrupt), start_run(store, "a", tmp_path / "r") as first:
        first.log_params({"epochs": 3, "resume": False})
        first.log_metrics({"loss": 2.0}, step=1)
        raise KeyboardInterrupt
    assert store.client.get_run(first.run_id).info.status == "KILLED"
    with start_run(store, "a", tmp_path / "r", resume=True) as second:
        assert second.run_id == first.run_id
        assert store.client.get_run(first.run_id).info.status == "RUNNING"
        second.log_params({"epochs": 3, "resume": True})
        second.log_metrics({"loss": 1.0}, step=2)
        with (
            pytest.raises(UserError, match="still running"),
            start_run(store, "a", tmp_path / "r", resume=True),
        ):
            pass
    found = store.client.get_run(first.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"epochs": "3", "resume": "false"}
    assert found.data.tags["resumed.changed"] == "resume=true"
    assert [metric.step for metric in store.client.get_metric_history(first.run_id, "loss")] == [1, 2]


def test_a_run_resumed_in_another_store_takes_its_history_along(store, tmp_path):
    with pytest.raises(KeyboardInterrupt), start_run(store, "a", tmp_path / "r") as first:
        first.log_params({"epochs": 3})
        first.log_metrics({"loss": 2.0}, step=1)
        raise KeyboardInterrupt
    store.client.delete_run(first.run_id)
    with start_run(store, "a", tmp_path / "r", resume=True) as again:
        pass
    assert store.client.get_run(again.run_id).data.metrics == {"loss": 2.0}
    other = open_store(None, "other", tmp_path)
    with start_run(other, "a", tmp_path / "r", resume=True) as second:
        second.log_metrics({"loss": 1.0}, step=2)
    found = other.client.get_run(second.run_id)
    assert (found.info.status, found.data.params) == ("FINISHED", {"epochs": "3"})
    assert [metric.step for metric in other.client.get_metric_history(second.run_id, "loss")] == [1, 2]


def test_a_finished_run_can_be_copied_to_another_store(store, tmp_path, findings):
    with start_run(store, "a", tmp_path / "r", tags={"weights.digest": "abc"}) as run:
        run.log_findings("posterior", findings)
    assert upload(tmp_path / "r") == 0
    assert upload(tmp_path / "r", f"sqlite:///{tmp_path / 'other.db'}") > 5
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}", store.experiment, tmp_path)
    (copy,) = other.client.search_runs([other.experiment_id])
    assert (copy.info.run_name, copy.info.status) == ("a", "FINISHED")
    assert copy.data.metrics == store.client.get_run(run.run_id).data.metrics
    assert copy.data.tags["weights.digest"] == "abc"


def test_a_place_that_cannot_hold_results_is_refused_and_leaves_no_run(store, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="choose another folder"), start_run(store, "a", tmp_path / "file"):
        pass
    (tmp_path / "r" / ".tracking").mkdir(parents=True)
    (tmp_path / "r" / ".tracking" / "run.json").write_text("{")
    with pytest.raises(UserError, match="damaged"), start_run(store, "a", tmp_path / "r", resume=True):
        pass
    assert store.client.search_runs([store.experiment_id]) == []


def test_a_line_that_a_crash_cut_short_does_not_spoil_the_journal(store, tmp_path):
    with pytest.raises(KeyboardInterrupt), start_run(store, "a", tmp_path / "r") as run:
        raise KeyboardInterrupt
    with (tmp_path / "r" / ".tracking" / "entries.jsonl").open("a") as journal:
        journal.write('{"number": 9, "kind": "met')
    with start_run(store, "a", tmp_path / "r", resume=True) as run:
        run.log_metrics({"loss": 1.0})
    assert store.client.get_run(run.run_id).data.metrics == {"loss": 1.0}


def test_a_sweep_is_a_parent_with_its_children(store, tmp_path):
    parent = start_parent(store, "seed=1,2", overrides=["seed=1,2"])
    assert store.client.get_run(parent).info.status == "RUNNING"
    runs = []
    for seed in (1, 2):
        with start_run(store, f"seed={seed}", tmp_path / str(seed), parent=parent) as run:
            runs.append(run.run_id)
    parent_run(store, parent, tmp_path / "parent").finish("FINISHED")
    assert children(store, parent) == runs
    assert store.client.get_run(parent).info.status == "FINISHED"
    assert store.client.get_run(runs[0]).data.tags["mlflow.parentRunId"] == parent


def test_an_exported_run_id_of_mlflow_changes_nothing(store, tmp_path, monkeypatch):
    parent = start_parent(store, "sweep")
    monkeypatch.setenv("MLFLOW_RUN_ID", parent)
    with start_run(store, "child", tmp_path / "r", parent=parent) as run:
        run.log_metrics({"x": 1.0})
    assert run.run_id != parent
    assert store.client.get_run(parent).data.metrics == {}


def test_an_entry_that_the_store_rejects_is_an_error_and_the_run_still_ends(store, tmp_path):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException), start_run(store, "a", tmp_path / "r") as run:
        run.log_dataset("irish", "d", "music21", {}, context="x" * 600)
    assert store.client.get_run(run.run_id).info.status == "FAILED"


def test_logging_a_batch_takes_a_fraction_of_a_second(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        began = time.perf_counter()
        for step in range(20):
            run.log_metrics({f"m{i}": i for i in range(90)}, step)
        assert (time.perf_counter() - began) / 20 < 0.5


def test_a_page_is_filed_whole(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("effect", Findings(pages={"before after": "<!doctype html><p>tunes"}))
    assert content(store, run.run_id, "pages/effect_before_after.html", tmp_path) == b"<!doctype html><p>tunes"


def test_the_main_numbers_become_metrics_and_all_of_them_a_table(store, tmp_path):
    metrics = {"kept": 0.51234, "kept_low": 0.4, "kept_high": 0.6} | {f"more{k}": k + 0.123456 for k in range(9)}
    main = {"kept": Main("{:%} is kept"), "more3": Main("{} more")}
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("effect", Findings(metrics, main=main, null={"kept": 0.9}))
        run.log_findings("curve", Findings(metrics={"loss": 1.0}), step=3)
    found = store.client.get_run(run.run_id).data.metrics
    assert found == {"effect/kept": 0.51, "effect/more3": 3.123, "curve/loss": 1.0}
    assert run.metrics["effect/more8"] == 8.123456
    table = pd.read_csv(tmp_path / "r/tables/metrics.csv").set_index("name")
    assert len(table) == 10
    assert table.loc["effect/kept", ["value", "low", "high", "control"]].tolist() == [0.51234, 0.4, 0.6, 0.9]
    assert table.loc["effect/kept", "control_is"] == "unchanged"


def test_a_run_has_at_most_25_metrics_and_each_analysis_its_first(store, tmp_path):
    metrics = {f"m{k}": float(k) for k in range(30)}
    with start_run(store, "a", tmp_path / "r", wanted=["c/m29"]) as run:
        run.log_metrics({f"activations/l{k}": 0.5 for k in range(9)})
        for name in "abcdefghij":
            run.log_findings(name, Findings(metrics))
    found = set(store.client.get_run(run.run_id).data.metrics)
    assert len(found) == 25
    assert {f"{name}/m0" for name in "abcdefghij"} | {"c/m29"} <= found


def test_a_number_without_a_step_takes_the_place_of_the_last(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_metrics({"activations/l1.h/sparsity": 0.1}, 20)
        run.log_metrics({"activations/l1.h/sparsity": 0.2})
    assert store.client.get_run(run.run_id).data.metrics == {"activations/l1.h/sparsity": 0.2}


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.83192, 0.793, 0.8669, 0.832),
        (159.6123, 135.2, 191.3, 160.0),
        (1.0321987, math.nan, math.nan, 1.032),
        (5599881.0, math.nan, math.nan, 5599881.0),
        (0.5, 0.5, 0.5, 0.5),
    ],
)
def test_a_metric_has_as_many_digits_as_mean_something(value, low, high, shown):
    assert meaningful(value, low, high) == shown


def test_numbers_on_controls_stand_beside_the_nearest_of_them(store, tmp_path):
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("posterior", Findings({"entropy": 1.0}, lists={"tokens": ["|", "A"]}))
        run.numbers.beside("untrained", "posterior", {"entropy": 4.9})
        run.log_control("shuffled", "posterior", Findings({"entropy": 3.0}))
    row = pd.read_csv(tmp_path / "r/tables/metrics.csv").iloc[0]
    assert (row["control"], row["control_is"], row["untrained"], row["shuffled"]) == (3.0, "shuffled", 4.9, 3.0)
    assert set(store.client.get_run(run.run_id).data.metrics) == {"posterior/entropy"}
    lists = pd.read_csv(tmp_path / "r/tables/lists.csv")
    assert lists.to_numpy().tolist() == [["posterior/tokens", 1, "|"], ["posterior/tokens", 2, "A"]]


def test_a_store_that_has_lost_a_run_gets_all_of_it_again(tmp_path):
    with start_run(open_store(None, "a", tmp_path), "a", tmp_path / "r") as run:
        run.log_metrics({"loss": 1.0})
    database = tmp_path / "mlflow.db"
    database.rename(tmp_path / "lost.db")
    command = [sys.executable, "-m", "folkrnn.tracking", "upload", str(tmp_path / "r")]
    for words, entries in ([], 0), (["--to", f"sqlite:///{database}"], Journal(tmp_path / "r").written):
        said = subprocess.run([*command, *words], capture_output=True, text=True, check=True).stdout
        assert f"sent {entries} entries" in said
    with sqlite3.connect(database) as rows:
        found = rows.execute("SELECT name, status, start_time <= end_time FROM runs").fetchall()
        assert rows.execute("SELECT key, value FROM metrics").fetchall() == [("loss", 1.0)]
    assert found == [("a", "FINISHED", 1)]


def test_a_picture_that_cannot_be_read_does_not_stand_in_the_way_of_the_rest(store, tmp_path, findings, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 1000)  # a trap, to PIL
    with start_run(store, "a", tmp_path / "results") as run:
        try:
            run.log_findings("first", findings)
        except Exception as error:  # as a study does with whatever an analysis and its filing raise
            run.log_failure("first", error)
        run.log_metrics({"after": 1.0})
    found = store.client.get_run(run.run_id)
    assert found.info.status == "FAILED"
    assert "DecompressionBomb" in found.data.tags["ended"]
    assert found.data.metrics["after"] == 1.0
    assert "tracebacks/first.txt" in artifacts(store, run.run_id, "tracebacks")
    assert not Journal(tmp_path / "results").pending
