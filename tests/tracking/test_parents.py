"""What is known of how a job of a sweep ended."""

from __future__ import annotations

import pytest

from folkrnn.tracking import end_child, start_parent, start_run
from folkrnn.tracking.entries import ENDED, VANISHED


@pytest.mark.parametrize(
    ("found", "told"), [(VANISHED, "killed by SIGKILL"), ("ValueError: no such bar", "ValueError: no such bar")]
)
def test_that_a_process_vanished_gives_way_to_the_reason_and_a_word_of_its_own_does_not(store, tmp_path, found, told):
    parent = start_parent(store, "sweep")
    with start_run(store, "job", tmp_path, tags={"sweep.job": "1"}, parent=parent) as run:
        pass
    store.client.set_tag(run.run_id, ENDED, found)
    child = end_child(store, parent, ("sweep.job", "1"), "KILLED", "killed by SIGKILL")
    assert child.ended == told
