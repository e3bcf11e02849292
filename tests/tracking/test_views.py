import base64
import json
import zlib

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import open_store, start_run


def saved_view(store):
    tag = store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.folkrnn"]
    view = json.loads(tag)
    return view["name"], json.loads(zlib.decompress(base64.b64decode(view["state"].removeprefix("deflate;"))))


def findings():
    drawing = style.figure(width=2.0)
    drawing.subplots()
    return Findings(figures={"main": Figure(drawing, ""), "other": Figure(drawing, "")})


def test_a_view_of_the_experiment_has_a_card_for_the_main_figure_of_every_analysis_of_any_run(store, tmp_path):
    for number, names in enumerate((["posterior"], ["activations", "posterior"], [])):
        with start_run(store, "a", tmp_path / str(number)) as run:
            for name in names:
                run.log_findings(name, findings())
    name, state = saved_view(store)
    assert name == "main numbers and figures"
    assert [card["imageKeys"] for card in state["compareRunCharts"]] == [["posterior/main"], ["activations/main"]]
    assert not any(card["showRunParams"] for card in state["compareRunCharts"])
    assert "viewStateShareKey=folkrnn&" in store.link()


def test_an_experiment_that_somebody_else_made_is_furnished_too_and_its_view_is_kept(store, lab, tmp_path):
    tag = "mlflow.sharedViewState.folkrnn"
    for key in (tag, "mlflow.experimentKind"):
        store.client.delete_experiment_tag(store.experiment_id, key)
    open_store(None, store.experiment, lab)
    tags = store.client.get_experiment(store.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert saved_view(store)[1]["compareRunCharts"] == []
    with start_run(store, "a", tmp_path / "r") as run:
        run.log_findings("posterior", findings())
    before = store.client.get_experiment(store.experiment_id).tags[tag]
    open_store(None, store.experiment, lab)
    assert store.client.get_experiment(store.experiment_id).tags[tag] == before


def columns(store):
    return [name.removeprefix("metrics.`").rstrip("`") for name in saved_view(store)[1]["selectedColumns"]]


def test_the_list_of_runs_shows_the_four_metrics_that_tell_most(store, tmp_path):
    first = {"posterior": ["entropy", "nats_per_token"], "vocabulary": ["tokens", "parameters"]}
    later = {"tune_statistics": ["length", "full_bars"], "claims": ["hold"]}
    shown = []
    for number, found in enumerate((first, later)):
        with start_run(store, "a", tmp_path / str(number)) as run:
            for name, quantities in found.items():
                run.log_findings(name, Findings(dict.fromkeys(quantities, 0.5), findings().figures))
        shown.append(columns(store))
    assert shown[0] == ["posterior/nats_per_token", "posterior/entropy", "vocabulary/tokens", "vocabulary/parameters"]
    assert shown[1][:3] == ["tune_statistics/full_bars", "posterior/nats_per_token", "claims/hold"]
    assert len(shown[1]) == 4


def test_columns_that_somebody_chose_stay(store, tmp_path):
    with start_run(store, "a", tmp_path / "first") as run:
        run.log_findings("posterior", Findings({"entropy": 1.0}, findings().figures))
    own = ["params.`seed`"]
    name, state = saved_view(store)
    packed = base64.b64encode(zlib.compress(json.dumps(state | {"selectedColumns": own}).encode())).decode()
    tag = json.dumps({"name": name, "createdAt": 1, "updatedAt": 1, "state": f"deflate;{packed}"})
    store.client.set_experiment_tag(store.experiment_id, "mlflow.sharedViewState.folkrnn", tag)
    with start_run(store, "a", tmp_path / "second") as run:
        run.log_findings("tune_statistics", Findings({"full_bars": 1.0}, findings().figures))
    assert saved_view(store)[1]["selectedColumns"] == own
