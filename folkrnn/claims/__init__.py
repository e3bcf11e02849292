"""What the source documents claim, and whether it holds here.

One YAML file per document, found by its name alone; `python run.py experiment=part5` judges all claims of `part5.yaml`,
any other run those of any document that its analyses can answer (`claims=[part5,part9]` asks for all of two). A file:

    title: Making sense of the folk-rnn v2 model, part 5
    date: 2018-01-03
    claims:
      - id: 5d-1                          # the row of the facts sheet (section 5), and a number
        statement: About 80 % of the values of the third layer have a magnitude below 0.07.
        published: 0.8                    # a number, or a list of tokens or units; left out where none is printed
        quantity: activations/near_zero_share   # <analysis>/<quantity>: a metric, or a list among its findings
        scope: v2                         # v2: of that model's weights alone; data_v2: of its data; any: of any model
        given: {tune: swing_swang_swung}  # settings under which it is stated (see below)
        criterion: near(value, published, 0.05)
      - id: 5d-2
        statement: The states of the last layer are sparse.
        quantity: activations/near_zero_share
        scope: any
        also: {strong: activations/strong_share}
        criterion: value > 0.5 and strong < 0.1 and value > control

In a quantity `{first}`, `{middle}` and `{last}` stand for layers of the model at hand (`gramians/{last}.h/…`), and
`{cell}`, `{state}` for the candidate and the cell state (`g` and `c`; a GRU's `n` and `h`); `{learned}` for what
training added to the initial parameters, where these are known (`learned/`, else nothing: the whole). `control:` names
a quantity of the same analysis to compare with (chance, the data); without it the control is what the same analysis
finds on an untrained network or on shuffled tokens (`control=untrained`, `shuffled`, or `both`: then the former).

A criterion is evaluated there, too, and, of an intervention, where nothing was changed but the random numbers. If it
holds there as well, its being true says nothing of the model, and the verdict is `does not depend on the model`. So it
is of a statement that is `about:` something else (the tune, the data, arithmetic). Two marks say what a statement is
expected to hold of besides: `any_order: true`, that it says nothing of the order of tokens and may hold of shuffled
ones; `unaffected: true`, that it says of an intervention that it changes nothing.

A criterion is an expression over `value`, `low`, `high` (the ends of its 95 % interval, filed as `<quantity>_low` and
`<quantity>_high`; the value itself where the analysis gives none), `control`, `untrained`, `shuffled` and their ends
(`control_low`), `published` and the names in `also:`, with numbers, + − * /, comparisons, and, or, not, and the
functions of `folkrnn.claims.criterion`. One that names what the run lacks is not judged; the row says what to run.

`given:` maps settings to what they must be: any key of the configuration (`analysis.activations.site: l3.h`,
`cut.fraction: 0.33`), `tune` (transcription= or sampling.replay=), `sizes` (`lstm 3 × 512`), `magenta` (whose name of a
checkpoint was loaded, `cat-mel_2bar_big`) and `intervention` (their names, in order; a claim without it is one about
the model as it is). `units_base: 1` says that a published list of units counts from 1.
"""

from folkrnn.claims.circumstances import Circumstances, circumstances
from folkrnn.claims.claim import Claim, Document, document, documents
from folkrnn.claims.judge import Verdict, judge, table

__all__ = ["Circumstances", "Claim", "Document", "Verdict", "circumstances", "document", "documents", "judge", "table"]
