"""What a sweep over seeds says of each other setting."""

from __future__ import annotations

import pandas as pd

from folkrnn.sweep.comparison import over_seeds

TABLE = pd.DataFrame(
    {
        "model.cell": ["lstm", "lstm", "gru", "gru"],
        "seed": ["1", "2", "1", "2"],
        "held_out/nats": [1.0, 1.2, 1.4, 1.5],
        "other": [0.0, 0.0, 0.0, 0.0],
    }
)


def test_each_setting_has_its_mean_and_range_over_the_seeds():
    found = over_seeds(TABLE, ["model.cell", "seed"], ["held_out/nats"])["seeds"]
    assert found["model.cell"].tolist() == ["lstm", "gru"]
    assert found["mean"].round(6).tolist() == [1.1, 1.45]
    assert found["least"].tolist() == [1.0, 1.4]
    assert found["most"].tolist() == [1.2, 1.5]
    assert found["seeds"].tolist() == [2, 2]


def test_seeds_alone_make_one_row_and_without_seeds_there_is_no_table():
    (row,) = over_seeds(TABLE, ["seed"], ["held_out/nats"])["seeds"].to_dict("records")
    assert (row["least"], row["most"], row["seeds"]) == (1.0, 1.5, 4)
    assert over_seeds(TABLE, ["model.cell"], ["held_out/nats"]) == {}
