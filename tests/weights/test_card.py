import json

import pytest
import torch
import yaml

from folkrnn.errors import UserError
from folkrnn.models.folkrnn import FolkRNN
from folkrnn.vocabulary import V2
from folkrnn.weights import folder
from folkrnn.weights.__main__ import main
from folkrnn.weights.card import write
from folkrnn.weights.curve import Curve
from folkrnn.weights.initial import Initial

METRICS = {
    "held_out/nats_per_token": 1.2345,
    "held_out/nats_per_token_low": 1.2,
    "held_out/nats_per_token_high": 1.3,
    "tune_statistics/full_bars": 0.8,
    "tune_statistics/data_full_bars": 0.82,
    "tune_statistics/copied_in_part": 0.02,
    "tune_statistics/data_copied_in_part": 0.2,
    "tune_statistics/ended_share": 0.5,
    "activations/l1.h/sparsity": 0.123,
}
DATASET = "# Dataset irish\n\n4,060 tunes; digest `abc`.\n\n## Terms\n\n- **oneills1850**: public domain\n"


def run(place, metrics=METRICS, words="weights=scratch seed=3", trained=True, program="python run.py"):
    """The folder of a run, as runs file it."""
    (place / "dataset").mkdir(parents=True)
    (place / ".tracking").mkdir()
    (place / "metrics.json").write_text(json.dumps(metrics))
    (place / "dataset" / "card.md").write_text(DATASET)
    config = {"recipe": {"_target_": "x.Y", "batch_size": 64, "curriculum": {"lags": [1, 2]}}}
    (place / "config.yaml").write_text(yaml.safe_dump(config | {"trainer": {"max_epochs": 9, "precision": "32-true"}}))
    tags = {"command": f"{program} {words} tracking.folder=/home/me", "git.commit": "0123456789abcdef"}
    (place / ".tracking" / "entries.jsonl").write_text(json.dumps({"kind": "tags", "tags": tags}) + "\n")
    if trained:
        model, curve = FolkRNN(units=4, layers=1), Curve.of([], [(60, 2.5), (120, 1.5), (180, 1.75)])
        folder.save(place / "weights", model, V2, Initial(3).line(), torch.float32, curve)
    return place


def test_a_card_begins_with_what_the_model_cannot_do_the_worst_first(tmp_path):
    write("mine", run(tmp_path / "run"), tmp_path / "mine")
    text = (tmp_path / "mine" / "README.md").read_text()
    limits = text.split("## What it cannot do")[1].split("##")[0].strip().splitlines()
    assert limits == [
        "- bars that stood before in their part: 2.0%; in the data 20.0%.",
        "- tunes that end by themselves: 50.0%; wanted 100.0%.",
    ]
    assert text.index("## What it cannot do") < text.index("## Where it comes from")


def test_a_card_states_what_the_runs_filed_and_the_command_that_printed_it(tmp_path):
    measured = run(tmp_path / "other", {"held_out/nats_per_token": 1.1}, "analysis=held_out", trained=False)
    write("mine", run(tmp_path / "run"), tmp_path / "mine", [measured])
    text = (tmp_path / "mine" / "README.md").read_text()
    assert "| nats per held-out token | 1.100 |  |  | 1 |" in text
    assert "1. `python run.py analysis=held_out`" in text
    assert "| full bars | 80.0% |  | 82.0% in the data | 2 |" in text
    assert "2. `python run.py weights=scratch seed=3`" in text
    assert "/home/me" not in text
    assert "batch_size 64, curriculum (lags [1, 2]); 9 epochs" in text
    assert "| 120 | 1.500 (best) |" in text
    assert "0.123" not in text  # only what a card states


@pytest.mark.parametrize("program", ["python run.py", "folkrnn-lab"])
def test_a_card_names_all_that_was_typed_wherever_the_program_was_installed(tmp_path, program):
    write("mine", run(tmp_path / "run", program=program), tmp_path / "mine")
    assert "run.py weights=scratch seed=3`" in (tmp_path / "mine" / "README.md").read_text()


def test_the_weights_beside_a_card_are_those_of_the_run_in_half_precision(tmp_path):
    source = run(tmp_path / "run")
    assert main(["card", str(source), str(tmp_path / "mine")]) == 0
    mine, theirs = folder.load(tmp_path / "mine"), folder.load(source / "weights")
    assert torch.allclose(mine.model.softmax_weight, theirs.model.softmax_weight, atol=1e-3)
    assert mine.initial == Initial(3)
    assert mine.curve is not None
    assert mine.card.startswith("---\nlicense: mit\n")


def test_a_folder_that_is_no_run_and_a_run_that_trained_nothing_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"metrics\.json"):
        write("mine", tmp_path / "empty", tmp_path / "mine")
    with pytest.raises(UserError, match="trained nothing"):
        write("mine", run(tmp_path / "run", trained=False), tmp_path / "mine")


def test_what_is_there_is_not_written_over(tmp_path, capsys):
    assert main(["card", str(run(tmp_path / "run")), str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err


def finetuned(place, began):
    source = run(place)
    card = source / "weights/README.md"
    card.write_text(card.read_text() + f"\nIt went on from pretrained/first ({folder.load(began).digest}).\n")
    return source


def test_the_card_of_a_training_that_went_on_tells_of_both(tmp_path):
    write("first", run(tmp_path / "a", words="weights=scratch seed=7"), tmp_path / "first")
    source = finetuned(tmp_path / "b", tmp_path / "first")
    assert main(["card", str(source), str(tmp_path / "mine"), "--began", str(tmp_path / "first")]) == 0
    text = (tmp_path / "mine" / "README.md").read_text()
    assert "> - **Command**: `python run.py weights=scratch seed=7`" in text
    assert "- **Command**: `python run.py weights=scratch seed=3`" in text


def test_the_weights_that_a_training_went_on_from_must_be_the_ones(tmp_path):
    write("first", run(tmp_path / "a"), tmp_path / "first")
    source = finetuned(tmp_path / "b", tmp_path / "first")
    with pytest.raises(UserError, match="name their folder with --began"):
        write("mine", source, tmp_path / "mine")
    other = run(tmp_path / "c")
    folder.save(tmp_path / "other", FolkRNN(units=4, layers=1), V2, "")
    with pytest.raises(UserError, match=r"those in .*other have"):
        write("mine", source, tmp_path / "mine", began=tmp_path / "other")
    with pytest.raises(UserError, match="leave --began out"):
        write("mine", other, tmp_path / "mine", began=tmp_path / "first")


def test_a_card_shows_each_collection_where_a_run_filed_them(tmp_path):
    source = run(tmp_path / "run", METRICS | {"held_out_melodies/free_onsets": 0.8})
    (source / "tables").mkdir()
    columns = "collection,melodies,always_hold_steps,free_steps,free_onsets"
    (source / "tables/held_out_melodies_collections.csv").write_text(f"{columns}\nairdsAirs,1200,0.5,0.9,0.75\n")
    write("mine", source, tmp_path / "mine")
    assert "| airdsAirs | 1,200 | 90.0% | 75.0% | 50.0% |" in (tmp_path / "mine" / "README.md").read_text()
