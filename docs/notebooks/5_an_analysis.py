# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 5 An analysis of your own
#
# From a question to an option of the command line. The question: does the model save its most expected notes for the ends of
# bars? Let us call the surprise of a token −ln of the probability that it had. If the ends of bars cost as much as the rest, the
# answer is no, which is an answer as well.

# %%
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import folkrnn

lab = folkrnn.load("folkrnn_small")
tunes = lab.generate(16, seed=2, prime="M:4/4 K:Cmaj", max_tokens=200)

# %% [markdown]
# ## By hand first


# %%
def surprise(probs, ids):
    """Nats that each token but the first cost, [T]."""
    return -np.log(probs[np.arange(len(ids) - 1), ids[1:]])


def before_bar_lines(ids, bar):
    """Whether a bar line comes right after each token but the first, [T]."""
    return np.append(ids[2:] == bar, False)


bar = lab.vocabulary.tokens.index("|")
costs = [surprise(lab.trace(tune, "probs")["probs"], tune.ids) for tune in tunes]
last = [before_bar_lines(tune.ids, bar) for tune in tunes]
inside = np.concatenate(
    [cost[~where & (tune.ids[1:] != bar)] for cost, where, tune in zip(costs, last, tunes, strict=True)]
)
ends = np.concatenate([cost[where] for cost, where in zip(costs, last, strict=True)])
print(f"last tokens of bars {ends.mean():.2f} nats, others {inside.mean():.2f}")

# %% [markdown]
# ## As an analysis
#
# A dataclass with its settings as fields, called with an observation. Nothing of files, MLflow or the command line is in it.

# %%
CODE = '''
from dataclasses import dataclass

import numpy as np

from folkrnn.analysis import Analysis
from folkrnn.findings import Findings


@dataclass(frozen=True)
class BarEnds(Analysis):
    """How much less a bar's last token surprises than the others do, in nats."""

    token: str = "|"

    def __call__(self, observation):
        bar = observation.vocabulary.tokens.index(self.token)
        each = []
        for number, ids in enumerate(observation.ids):
            probs = observation.posterior(number)
            cost = -np.log(probs[np.arange(len(ids) - 1), ids[1:]])
            last = np.append(ids[2:] == bar, False)
            inside = ~last & (ids[1:] != bar)
            if last.any() and inside.any():
                each.append(cost[inside].mean() - cost[last].mean())
        return Findings({"saved": float(np.mean(each)) if each else float("nan")})
'''
package = Path("mylab")
(package / "analysis").mkdir(parents=True, exist_ok=True)
(package / "bar_ends.py").write_text(CODE.lstrip())
(package / "analysis/bar_ends.yaml").write_text("bar_ends:\n  _target_: mylab.bar_ends.BarEnds\n  token: '|'\n")

# %%
import sys

sys.path.append(".")
from mylab.bar_ends import BarEnds

BarEnds()(lab.observe(tunes)).metrics

# %% [markdown]
# ## Would it find what is there?
#
# A model whose last tokens cost nothing has the answer planted.


# %%
@dataclass
class Planted:
    """An observation of one tune in which the tokens before bar lines are certain and the others cost ln 2."""

    vocabulary: object = lab.vocabulary

    @property
    def ids(self):
        bar, note = (self.vocabulary.tokens.index(token) for token in ("|", "C"))
        return [np.array([0, note, note, note, bar, note, note, note, bar])]

    def posterior(self, number):
        ids = self.ids[number]
        probs = np.zeros((len(ids) - 1, len(self.vocabulary)))
        last = np.append(ids[2:] == ids[4], False)
        probs[np.arange(len(ids) - 1), ids[1:]] = np.where(last, 1.0, 0.5)
        return probs


assert np.isclose(BarEnds()(Planted()).metrics["saved"], np.log(2))

# %% [markdown]
# ## As an option
#
# From now on it runs on any model, under interventions, beside controls and in sweeps:
#
# ```
# python run.py -cd mylab 'extensions=[mylab]' analysis=bar_ends control=untrained
# ```
