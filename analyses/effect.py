"""What does an intervention do? The same tunes drawn with the same random numbers, before and after. (Parts 6 to 8.)

Definitions: a quantity (see `analyses.measures.tune_quantities`) is a ratio of sums over tunes; its interval, and that
of its difference from the control, comes from resampling tunes in pairs; beside it, the share of tunes in which it
falls and rises. Random units of the same number are the second control, drawn several times; their intervals resample
the draws too (each draw has as many units of the same norms; its own numbers stand in the table `draws`). Of replays
of a published tune the second control is the model as it is, going on from where a tune left the published one, since
leaving it is itself a change. What is found where nothing is changed is the null: the model as it is with other random
numbers, of replays the control resumed. Chance alone moves the tunes away from the control, and further in melody,
which is four quantities, than in counting, so what is kept is also given less what the null keeps. What is kept of a
quantity is 1 for the control and 0 for the floor: the control's tunes with their tokens in random order (for notes of
the scale, 7 of 12 pitch classes). Counting is kept as full bars are; melody as stepwise motion, notes of the scale,
cadences and repeated figures are, on average. The divergence of distributions compares what both models say next on the
control's own tokens; it splits into when (which type of token comes) and which token of the type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from analyses.drawings import effect as draw
from analyses.drawings import side_by_side
from analyses.measures import ablated_directions, comparison, divergence, paired, watching
from analyses.measures.counting import by_bar
from analyses.measures.effect_numbers import (
    ability_metrics,
    arrays_of,
    departure_metrics,
    late_metrics,
    tune_table,
)
from analyses.measures.tune_quantities import QUANTITIES
from analyses.measures.tune_sums import ABILITIES, NAMES, TuneSums, ability_kept, collect, floors_of
from folkrnn.analysis import Analysis
from folkrnn.errors import UserError
from folkrnn.findings import Figure, Findings, Main
from folkrnn.interventions.intervention import EffectRecord
from folkrnn.observation.observation import Observation


@dataclass(frozen=True)
class Effect(Analysis[Observation]):
    """Paired comparison of an intervention with the model as it is and with random units of the same number."""

    families: ClassVar[tuple[str, ...]] = ("folkrnn",)
    of_interventions: ClassVar[bool] = True
    """Without one it is refused before anything slow starts."""
    repeated_on: ClassVar[tuple[str, ...]] = ()
    """It has controls of its own."""
    main: ClassVar[Mapping[str, Main]] = {
        "counting_kept": Main("{:%} of counting is kept", "matched_counting_kept", "random units"),
        "melody_kept": Main("{:%} of melody is kept", "matched_melody_kept", "random units"),
        "kl": Main("Distributions move by {} nats per step", "matched_kl", "random units"),
        "full_bars": Main("{:%} of the bars are full", "control_full_bars", "the unchanged model"),
        "watched_per_tune": Main(
            "A tune has {} of the watched tokens", "control_watched_per_tune", "the unchanged model"
        ),
    }

    read_tunes: int = 64
    late_bar: int = 16
    since: int | None = None
    shown: int = 3
    tune: int = 0
    tokens: str | None = None
    directions: int = 3
    resamples: int = 1000

    def __post_init__(self) -> None:
        for name, least in (("read_tunes", 1), ("late_bar", 1), ("shown", 0), ("directions", 1), ("resamples", 2)):
            if getattr(self, name) < least:
                raise UserError(f"effect.{name} is {getattr(self, name)}; it must be at least {least}")

    def __call__(self, observation: Observation) -> Findings:
        control = observation.control
        if control is None:
            raise UserError(
                "analysis=effect compares an intervention with the model as it is, and there is none; choose one with "
                "intervention="
            )
        collected = collect(observation, control)
        rng = np.random.default_rng(observation.seed)
        table, abilities = self.compare(collected, rng)
        nothing = collected.unchanged()
        draws = self.draws(collected)
        distributions = divergence.compare_distributions(observation, control, self.read_tunes)
        parts = self.parts(distributions, rng)
        lost = ablated_directions.subspace(control.model, observation.model, observation.vocabulary)
        watched = watching.watch_tokens(observation, control, self.words(observation))
        found = Findings(
            metrics={
                **ability_metrics(abilities),
                **spread_of(draws),
                **departure_metrics(parts, collected),
                **comparison.metrics(table),
                **late_metrics(observation, control, self.late_bar, self.since, self.resamples, rng),
            },
            null={} if nothing is None else self.nothing(observation, control, nothing, rng),
            tables={"quantities": table, "abilities": abilities, "divergence": parts, "tunes": tune_table(collected)},
            arrays={"tunes": arrays_of(collected, distributions)},
        )
        if len(draws):
            found.tables["draws"] = draws
        self.draw(found, observation, control, collected, distributions)
        if lost is not None:
            self.add_subspace(found, lost, observation)
        if watched is not None:
            self.add_watched(found, watched, observation)
        self.add_push(found, observation)
        self.add_tunes(found, observation, control, collected)
        return found

    def words(self, observation: Observation) -> str:
        """Returns the tokens to watch: those of the settings, or those that the interventions name."""
        watched = (word for effect in observation.effects for word in effect.watched)
        return self.tokens or " ".join(dict.fromkeys(watched))

    def compare(self, collected: TuneSums, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Returns one row per quantity, and one per ability (counting, melody), each value with its interval."""
        weights = paired.tune_weights(len(collected.control), self.resamples, rng)
        sums = {"control": collected.control, "changed": collected.changed, "matched": collected.matched}
        if collected.resumed is not None:
            sums["resumed"] = collected.resumed
        if collected.null is not None:
            sums["null"] = collected.null
        values, samples = comparison.resampled(sums, weights, rng)
        floor, floors = floors_of(collected.floor, weights)
        columns: dict[str, Any] = {"quantity": NAMES, "group": [QUANTITIES[name].group for name in NAMES]}
        columns |= {"tunes": len(collected.control), "draws": len(collected.matched)}
        columns |= comparison.columns(values, samples) | {"floor": floor}
        columns |= comparison.falls_and_rises(collected.control, collected.changed)
        rows = []
        kept = {
            ability: {
                side: np.append(
                    ability_kept(samples[side], samples["control"], floors, names),
                    ability_kept(values[side], values["control"], floor, names),
                )
                for side in ("changed", "matched", "null")
                if side in values
            }
            for ability, names in ABILITIES.items()
        }
        for ability, each in kept.items():
            each |= {f"beyond_{side}": each["changed"] - each[side] for side in ("matched", "null") if side in each}
            rows.append({"ability": ability} | with_ends(each))
        if "null" in values:
            than = kept["melody"]["beyond_null"] - kept["counting"]["beyond_null"]
            rows.append({"ability": "melody_less_counting"} | with_ends({"beyond_null": than}))
        counted = {"tunes": len(collected.control), "draws": len(collected.matched)}
        return pd.DataFrame(columns), pd.DataFrame(rows).assign(**counted)

    def draws(self, collected: TuneSums) -> pd.DataFrame:
        """Returns what is kept of each ability after every draw of random units, one row per draw."""
        control, floor = (
            paired.ratios(collected.control),
            floors_of(collected.floor, np.ones((1, len(collected.floor))))[0],
        )
        rows = [
            {"draw": k}
            | {
                f"{ability}_kept": float(ability_kept(paired.ratios(part), control, floor, names))
                for ability, names in ABILITIES.items()
            }
            for k, part in enumerate(collected.matched)
        ]
        return pd.DataFrame(rows)

    def nothing(
        self, observation: Observation, control: Observation, collected: TuneSums, rng: np.random.Generator
    ) -> dict[str, float]:
        """Returns the metrics of the comparison where the unchanged model stands in the place of the changed one."""
        table, abilities = self.compare(collected, rng)
        assert observation.null_again is not None, "what no change looks like was drawn"
        again = replace(observation, transcriptions=observation.null_again.transcriptions, effects=[])
        watched = watching.watch_tokens(again, control, self.words(observation))
        return {
            **ability_metrics(abilities),
            **comparison.metrics(table),
            **late_metrics(again, control, self.late_bar, self.since, self.resamples, rng),
            **({} if watched is None else watched.metrics()),
        }

    def parts(self, distributions: divergence.Distributions, rng: np.random.Generator) -> pd.DataFrame:
        """Returns the divergence of distributions per step and each of its parts, with intervals."""
        weights = paired.tune_weights(len(distributions.changed), self.resamples, rng)
        values, samples = comparison.resampled(
            {"changed": distributions.changed, "matched": distributions.matched}, weights, rng
        )
        columns: dict[str, Any] = {"part": list(divergence.PARTS)}
        for side in ("changed", "matched"):
            nothing = np.full(len(divergence.PARTS), np.nan)
            columns |= comparison.with_ends(side, values.get(side, nothing), samples.get(side))
        return pd.DataFrame(columns)

    def draw(
        self,
        found: Findings,
        observation: Observation,
        control: Observation,
        collected: TuneSums,
        distributions: divergence.Distributions,
    ) -> None:
        """Adds the figures that every comparison has."""
        table, abilities, parts = (found.tables[name] for name in ("quantities", "abilities", "divergence"))
        tunes = len(observation.transcriptions)
        found.figures["differences"] = Figure(
            draw.differences(table),
            caption_differences(
                table, abilities, found.metrics, tunes, len(collected.matched), collected.resumed is not None
            ),
            title=f"What the intervention changes, over {tunes} tunes",
        )
        longest = max(len(t.ids) for t in control.transcriptions)
        survival = {
            "changed": [divergence.survival(collected.apart, longest)],
            "matched": [divergence.survival(apart, longest) for apart in collected.matched_apart],
        }
        by_step = {"changed": [distributions.by_step[0]], "matched": distributions.by_step[1:]}
        shown = parts[parts["part"].isin(["type", "measure", "pitch", "grouping", "duration"])]
        found.figures["departure"] = Figure(
            draw.departure(survival, by_step, shown.reset_index(drop=True)),
            f"Share of {tunes} tunes that are still token for token those of the control; divergence of the "
            f"distributions, read on the tokens of {len(distributions.changed)} of the control's tunes; the same by "
            "whether the type of the next token or the choice within the type is at stake (these add up, but for the "
            "rare types left out).",
            title="How soon tunes depart from the control, and by which decisions",
        )
        seen = {"control": control, "changed": observation, "resumed": observation.resumed}
        curves = {
            side: by_bar([o.tokens(k) for k in range(len(o.transcriptions))])
            for side, o in seen.items()
            if o is not None
        }
        if all(len(frame) for frame in curves.values()):
            found.figures["counting_by_bar"] = Figure(
                draw.counting_by_bar(curves, self.late_bar),
                f"Share of full bars by number of the bar, over {tunes} tunes; shaded: 95 % Wilson intervals. Part 8 "
                "asks whether counting ends after 16 bars (dotted).",
                title="Share of full bars by number of the bar",
            )
        found.tables["bars"] = pd.concat([frame.assign(side=side) for side, frame in curves.items()])

    def add_subspace(
        self, found: Findings, lost: ablated_directions.AblatedDirections, observation: Observation
    ) -> None:
        """Adds what the softmax layer lost, where the intervention took something from it."""
        n = min(self.directions, lost.rank)
        found.metrics |= {
            "removed_energy": lost.energy_share,
            "removed_rank": float(lost.rank),
            "remaining_rank": float(lost.remaining_rank),
        } | {f"removed_energy_{name}": value for name, value in lost.energy_by_type.items()}
        found.tables["removed_directions"] = lost.table(observation.vocabulary)
        found.figures["subspace"] = Figure(
            draw.subspace(lost, n, observation.vocabulary),
            f"What the softmax layer lost: {lost.energy_share:.1%} of its energy in {lost.rank} directions; "
            f"{lost.remaining_rank} remain. Left: singular values before and of the part taken away; right: the share "
            "by type of token; below: the tokens that the leading lost directions raise and lower.",
            title=f"What the softmax layer lost: {lost.energy_share:.1%} of its energy, in {lost.rank} directions",
        )

    def add_watched(self, found: Findings, watched: watching.Watched, observation: Observation) -> None:
        """Adds the probability of the watched tokens along the tunes (the paper's Fig. 11)."""
        k = min(self.tune, len(observation.transcriptions) - 1)
        found.metrics |= watched.metrics()
        found.tables["watched"] = watched.by_step
        found.tables["watched_tunes"] = watched.tunes
        if watched.times is not None:
            found.tables["watched_by_time"] = watched.times
        found.figures["watched"] = Figure(
            draw.watched(
                observation.tokens(k),
                watched.own(k),
                watched.replaced(k),
                watched.by_window(),
                watched.words,
                watched.suppressed,
                watched.times,
            ),
            f"Probability that the model as it is gives to {watched.words}: in tune {k} (top)"
            + (" with what came in the place of suppressed ones" if watched.suppressed and watched.replaced(k) else "")
            + ", and on average over the tunes of both sides (bottom; shaded: 95 % intervals over tunes). After the "
            "paper's Fig. 11."
            + (
                " Bottom right: by the time since the last measure token that was written (a model that goes on "
                "counting without them wants one whenever another bar is full)."
                if watched.times is not None
                else ""
            ),
            title=f"Probability of {watched.words}, with and without the intervention",
        )

    def add_push(self, found: Findings, observation: Observation) -> None:
        """Adds what was added to the last hidden state, where an intervention pushes it (the paper's Fig. 14)."""
        for effect in observation.effects:
            units = effect.tables.get("units")
            if units is None or "push" not in units.columns:
                continue
            size, largest = observation.model.units, float(units["push"].abs().max())
            found.metrics |= {
                "pushed_units": float(len(units)),
                "push_largest": largest,
                "push_residual": effect.metrics["residual"],
            } | reached_alpha(effect)
            found.figures["push"] = Figure(
                draw.push(units["unit"].to_numpy(), units["push"].to_numpy(), size),
                f"What is added to the {size} units of the last layer: {len(units)} of them, by at most {largest:.2g} "
                "(dotted: the box of ±1)." + said_of_alpha(found.metrics) + " After Fig. 14 of the paper.",
                title=f"What is added to each unit of the last layer: {len(units)} of {size} are pushed",
            )

    def add_tunes(self, found: Findings, observation: Observation, control: Observation, collected: TuneSums) -> None:
        """Adds the first tunes before and after, as text and as scores."""
        pairs = pairs_of(observation, control, collected.apart, self.shown)
        if not pairs:
            return
        found.figures["side_by_side"] = Figure(
            side_by_side.as_text(pairs),
            "Tunes before and after, drawn with the same random numbers. Grey: the same as the control; black: after "
            "the first token that differs; red: in a bar that is not full (pickups included).",
            title="The same random numbers, before and after the intervention",
        )
        found.pages["before_after"] = side_by_side.as_page(pairs, "Before and after the intervention")


def spread_of(draws: pd.DataFrame) -> dict[str, float]:
    """Returns the lowest and the highest of what is kept over the draws of random units."""
    if not len(draws):
        return {}
    return {
        f"matched_{name}_{end}": float(getattr(draws[name], end)())
        for name in draws.columns.drop("draw")
        for end in ("min", "max")
    }


def reached_alpha(effect: EffectRecord) -> dict[str, float]:
    """Returns by what the push multiplied the token's probability (geometric mean over steps), and what was asked for.

    `push_others_moved` is the mean total variation between the distributions of all other tokens before and after,
    `push_units_outside` the mean number of units whose state left the box.
    """
    steps = effect.tables.get("steps")
    if steps is None or "ln_alpha" not in steps:
        return {}
    return {
        "push_alpha": float(np.exp(steps["ln_alpha"].mean())),
        "push_alpha_asked": float(np.exp(steps["ln_alpha_asked"].mean())),
        "push_others_moved": float(steps["others_moved"].mean()),
        "push_units_outside": float(steps["units_outside"].mean()),
    }


def said_of_alpha(metrics: dict[str, float]) -> str:
    if "push_alpha" not in metrics:
        return ""
    return (
        f" On average over the steps α is {metrics['push_alpha']:.3g} ({metrics['push_alpha_asked']:.3g} asked for), "
        f"the other tokens move by a total variation of {metrics['push_others_moved']:.2g}, and "
        f"{metrics['push_units_outside']:.2g} units leave the box."
    )


def with_ends(each: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns columns of the last entry of each array, and of the ends of the interval of the others."""
    found = {}
    for side in ("changed", "matched", "null", "beyond_matched", "beyond_null"):
        samples = each.get(side, np.full(2, np.nan))
        low, high = paired.ends(samples[:-1])
        found |= {side: float(samples[-1]), f"{side}_low": float(low), f"{side}_high": float(high)}
    return found


def pairs_of(observation: Observation, control: Observation, apart: np.ndarray, number: int) -> list[side_by_side.Pair]:
    """Returns the first `number` tunes before and after, each with the index of the first token that differs."""
    pairs = []
    for k in range(min(number, len(observation.transcriptions))):
        before, after = (o.transcriptions[k].tokens(o.vocabulary) for o in (control, observation))
        title = control.transcriptions[k].title or f"No. {k + 1}"
        pairs.append((title, before, after, apart[k] - 1))  # `<s>` is not shown
    return pairs


def caption_differences(
    table: pd.DataFrame, abilities: pd.DataFrame, metrics: dict[str, float], tunes: int, draws: int, resumed: bool
) -> str:
    rows = abilities.set_index("ability")
    told = []
    for ability in ("counting", "melody"):
        row = rows.loc[ability]
        random = ""
        if draws:
            least, most = (metrics[f"matched_{ability}_kept_{end}"] for end in ("min", "max"))
            random = f", {row['matched']:.0%} after random units ({least:.0%} to {most:.0%} over the draws)"
        random += f", {row['null']:.0%} where nothing is changed" if np.isfinite(row["null"]) else ""
        told.append(
            f"{ability} is kept to {row['changed']:.0%} ({row['changed_low']:.0%} to {row['changed_high']:.0%}){random}"
        )
    drawn = f", {draws} draws of as many random units of the same norms" if draws else ""
    if resumed:
        drawn += "; the control resumed: the unchanged model from where a tune left the replayed one"
    beyond = table["beyond_null_p_holm"].notna().any()
    moved = table["beyond_null_p_holm" if beyond else "difference_p_holm"]
    told.append(
        f"{int((moved < 0.05).sum())} of {int(moved.notna().sum())} quantities differ from "
        f"{'where nothing is changed' if beyond else 'the control'} at 0.05, corrected for "
        "their number"
    )
    return (
        f"{tunes} tunes before and after with the same random numbers{drawn}; 95 % bootstrap intervals over tunes"
        f"{' and draws' if draws else ''}. Dotted: the control's tokens in random order. {'; '.join(told)}."
    ).replace("; counting", ". Counting")
