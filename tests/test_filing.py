"""How runs are named."""

from folkrnn.filing import NAME_LENGTH, run_name


def test_a_run_is_named_by_what_was_typed_but_not_by_where_it_is_filed():
    typed = ["seed=3", "tracking.uri=http://127.0.0.1:5000", "tracking=server", "hydra.sweep.dir=/x", "launcher=here"]
    assert run_name([*typed, "analysis=posterior"]) == "seed=3 analysis=posterior"
    assert run_name(typed[1:]) == run_name([]) == "default"


def test_a_long_name_is_cut_where_cards_can_still_show_it():
    name = run_name([f"sampling.prime={'A2 B ' * 40}"])
    assert len(name) == NAME_LENGTH
    assert name.endswith("…")
