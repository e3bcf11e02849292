"""What a corpus says of the tunes that are not in it."""

from folkrnn.datasets.corpus import Corpus, LeftOut, Tune


def test_reasons_come_the_most_frequent_first_each_with_its_first_place_and_detail():
    unused = [LeftOut("a.abc, tune 2", "meter", "M:5/4"), LeftOut("b.abc", "empty"), LeftOut("c.abc", "meter", "M:7/8")]
    (first, second) = Corpus("three", [Tune(("M:4/4", "K:Cmaj", "C"))], unused=unused).reasons()
    assert (first[0], first[1], first[3]) == ("meter", 2, "a.abc, tune 2: M:5/4")
    assert (second[0], second[1], second[3]) == ("empty", 1, "b.abc")
