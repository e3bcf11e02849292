import base64
import json
import zlib

from folkrnn import style
from folkrnn.findings import Figure, Findings
from folkrnn.tracking import start_run


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
