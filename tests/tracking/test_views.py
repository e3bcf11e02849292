import base64
import json
import zlib

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import open_store, start_run


def saved_view(store):
    tag = store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.folkrnn-figures"]
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
    assert name == "figures side by side"
    assert [card["imageKeys"] for card in state["compareRunCharts"]] == [["posterior/main"], ["activations/main"]]
    assert not any(card["showRunParams"] for card in state["compareRunCharts"])
    assert "viewStateShareKey=folkrnn-figures" in store.link()


def test_an_experiment_that_somebody_else_made_is_furnished_too_and_its_view_is_kept(store, lab, tmp_path):
    tag = "mlflow.sharedViewState.folkrnn-figures"
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
