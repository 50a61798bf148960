"""What registered contrasts can find before they are run, against inference/power.py by hand."""

import dataclasses
import io
import math
from typing import Any

import pytest
from rich.console import Console

from codepretrain.config.schema import (
    AveragesConfig,
    ContrastConfig,
    EvaluatorConfig,
    PhaseConfig,
    ReplicateConfig,
    StudyConfig,
)
from codepretrain.hardware.chips import CHIPS
from codepretrain.inference.power import (
    equivalence_power,
    floor,
    guard_power,
    minimum_detectable_effect,
    power,
)
from codepretrain.podplan.cost import chip_hours
from codepretrain.study.graph import resolve
from codepretrain.study.item_counts import ItemCount
from codepretrain.study.power import Assumptions, power_plan
from codepretrain.study.power_text import print_power
from codepretrain.study.spreads import Known, Spread
from tests.configs import CONSTANT, STEP_TOKENS, small_study
from tests.inference.designs import difference_design

TRUNK = PhaseConfig(tokens=10 * STEP_TOKENS, mixture={"text": 1.0}, schedule=CONSTANT)
CHILD = PhaseConfig(
    parent="trunk", tokens=4 * STEP_TOKENS, mixture={"code": 1.0}, schedule=CONSTANT
)

EVALS = {
    "suite": EvaluatorConfig(kind="harness", options={"tasks": "boolq,piqa"}),
    "loss": EvaluatorConfig(kind="validation_loss"),
}
SIZES = {"suite/boolq/accuracy": 400, "suite/piqa/accuracy": 100}
ERROR = math.sqrt(0.25 * 0.25 / 400 + 0.25 * 0.25 / 100)  # of their mean
FREEDOM = 25 / (1 / 399 + 16 / 99)  # variances of 1 to 4
HIGHER = ContrastConfig(variants=("code", "plain"), metric="mean", direction="higher")


def study(
    contrasts: dict[str, ContrastConfig], *, replicates: int = 3, **changes: Any
) -> StudyConfig:
    config = small_study({"trunk": TRUNK, "child": CHILD, "other": CHILD}, **changes)
    return dataclasses.replace(
        config,
        variants={"plain": "trunk", "code": "child"},
        evals=EVALS,
        averages=AveragesConfig(categories={"mean": tuple(SIZES)}),
        contrasts=contrasts,
        replicates=tuple(
            ReplicateConfig(initialization_seed=i, data_order_seed=i) for i in range(replicates)
        ),
    )


def with_trunks(config: StudyConfig) -> StudyConfig:
    """Returns the study with a trunk of its own for `code`."""
    phases = {**config.phases, "second": TRUNK}
    phases["child"] = dataclasses.replace(CHILD, parent="second")
    return dataclasses.replace(config, phases=phases)


def planned(
    config: StudyConfig,
    *,
    run_sd: dict[str, float] | None = None,
    measured: dict[str, Spread] | None = None,
) -> dict[str, Any]:
    def counts(score: str) -> ItemCount | None:
        return ItemCount(SIZES[score], "test") if score in SIZES else None

    phases = resolve(config)
    assumptions = Assumptions(counts=counts, run_sd=run_sd or {}, measured=measured or {})
    prints = {name: f"{phase.path}" for name, phase in phases.items()}
    return power_plan(config, phases, prints, assumptions, chip=CHIPS["v5e"])


def test_a_difference_of_an_average() -> None:
    """The mean of two tasks of 400 and 100 items; half of the answers are right."""
    plan = planned(study({"main": HIGHER}), run_sd={"main": 0.004})["contrasts"]["main"]
    assert plan["item_error"]["value"] == pytest.approx(ERROR)
    assert plan["num_items"] == 500
    assert plan["floor"] == pytest.approx(2.8 * ERROR, rel=2e-3)
    for number, found in plan["detectable_with"].items():
        design = difference_design(
            num_replicates=number, run_sd=0.004, item_error=ERROR, item_freedom=FREEDOM
        )
        assert found == pytest.approx(minimum_detectable_effect(design), rel=1e-6)
        assert found > plan["floor"]
    assert plan["detectable"] == plan["detectable_with"][3]
    assert plan["replicates"] == {"code": 3, "plain": 3}
    assert plan["run_sd"] == {"value": 0.004, "source": "--run-sd", "is_assumed": True}


def test_the_level_is_shared_by_a_family() -> None:
    both = {"one": HIGHER, "two": dataclasses.replace(HIGHER, direction="lower")}
    apart = both | {"two": dataclasses.replace(HIGHER, direction="lower", family="second")}
    alone = planned(study({"one": HIGHER}))["contrasts"]["one"]
    assert planned(study(apart))["contrasts"]["one"]["detectable"] == alone["detectable"]
    shared = planned(study(both))["contrasts"]["one"]
    assert (shared["alpha"], shared["num_in_family"]) == (0.025, 2)
    assert shared["detectable"] > alone["detectable"]


def test_whether_an_effect_is_in_reach() -> None:
    """Below the floor no number of replicates is tried; above it the smallest is named."""
    lowest = floor(ERROR)
    tight = dataclasses.replace(HIGHER, margin=lowest * 0.9, published_effect=lowest * 1.05)
    plan = planned(study({"main": tight}), run_sd={"main": 0.02})["contrasts"]["main"]
    [below, above] = plan["targets"]
    assert below["is_below_floor"]
    assert below["num_replicates"] is None
    assert not above["is_below_floor"]
    needed = above["num_replicates"]
    assert needed > 3
    assert above["probability"] < 0.8
    for number, is_enough in ((needed - 1, False), (needed, True)):
        design = difference_design(
            num_replicates=number,
            run_sd=0.02,
            item_error=plan["item_error"]["value"],
            item_freedom=FREEDOM,
        )
        assert (power(design, above["effect"]) >= 0.8) == is_enough


def test_equivalence() -> None:
    spread = Spread(
        run=Known(0.01, "runs", False),
        item=Known(0.02, "runs", False),
        item_freedom=99,
        rest_sd=0.005,
        num_items=100,
    )
    contrast = ContrastConfig(
        variants=("code", "plain"),
        metric="loss/source/text/bits_per_byte",
        direction="equivalent",
        margin=0.08,
    )
    plan = planned(study({"main": contrast}), measured={"main": spread})["contrasts"]["main"]
    [target] = plan["targets"]
    design = difference_design(
        num_replicates=3, run_sd=0.01, item_error=0.02, item_freedom=99, rest_sd=0.005
    )
    assert target["is_equivalence"]
    assert target["probability"] == pytest.approx(equivalence_power(design, 0.08))
    guard = dataclasses.replace(contrast, direction="not_higher")
    [guarded] = planned(study({"main": guard}), measured={"main": spread})["contrasts"]["main"][
        "targets"
    ]
    assert (guarded["is_equivalence"], guarded["is_guard"]) == (False, True)
    assert guarded["probability"] == pytest.approx(guard_power(design, 0.08))
    assert target["probability"] < guarded["probability"]
    assert not plan["run_sd"]["is_assumed"]
    assert plan["unit"] == "bits/byte"


def test_items_that_do_not_vary_more_than_single_runs() -> None:
    spread = Spread(
        run=Known(0.01, "4 runs", False),
        item=Known(0.0, "4 runs", False),
        item_freedom=15,
        rest_sd=0.02,
        num_items=16,
    )
    plan = planned(study({"main": HIGHER}), measured={"main": spread})
    assert plan["contrasts"]["main"]["floor"] == 0
    assert "error of a difference not seen above the noise of single runs" in printed(plan)
    given = planned(study({"main": HIGHER}), run_sd={"main": 0.5}, measured={"main": spread})
    assert given["contrasts"]["main"]["run_sd"]["value"] == 0.5


def test_a_published_score_says_how_much_answers_vary() -> None:
    low = dataclasses.replace(HIGHER, published_score=0.05)
    errors = [
        planned(study({"main": one}))["contrasts"]["main"]["item_error"]["value"]
        for one in (low, HIGHER)
    ]
    assert errors[0] / errors[1] == pytest.approx(math.sqrt(0.05 * 0.95) / 0.5)


def test_weights_of_a_trend_scale_both_parts() -> None:
    """With weights of ±2 everything is twice that of a difference; trunks are not shared."""
    double = dataclasses.replace(HIGHER, variants=(), weights={"code": 2.0, "plain": -2.0})
    plans = planned(with_trunks(study({"one": HIGHER, "two": double})))["contrasts"]
    for name in ("floor", "detectable"):
        assert plans["two"][name] == pytest.approx(2 * plans["one"][name], rel=1e-6)


FOUR = {"a": 0.5, "b": 0.5, "c": -0.5, "d": -0.5}


def two_trunks(contrast: ContrastConfig, **changes: Any) -> StudyConfig:
    """Returns a study of four variants: a and b of one trunk, c and d of another."""
    config = study({"main": contrast}, **changes)
    phases = {"trunk": TRUNK, "second": dataclasses.replace(TRUNK, mixture={"code": 1.0})}
    for place, name in enumerate(FOUR):
        parent = "trunk" if name in "ab" else "second"
        tokens = CHILD.tokens * (place + 1)
        phases[name] = dataclasses.replace(CHILD, parent=parent, tokens=tokens)
    return dataclasses.replace(config, phases=phases, variants={name: name for name in FOUR})


WEIGHTED = dataclasses.replace(HIGHER, variants=(), weights=FOUR)


@pytest.mark.parametrize(("correlation", "factor"), [(None, 1.0), (0.0, 0.5), (0.6, 0.8)])
def test_arms_of_one_trunk_are_one_observation(correlation: float | None, factor: float) -> None:
    """(½ + ½)² where the trunk decides, 2·(½)² where it does not; n of each trunk, not 2n."""
    contrast = dataclasses.replace(WEIGHTED, run_correlation=correlation)
    plan = planned(two_trunks(contrast), run_sd={"main": 0.03})
    main = plan["contrasts"]["main"]
    assert main["observed_together"] == [["a", "b"], ["c", "d"]]
    for number, found in main["detectable_with"].items():
        design = difference_design(
            num_replicates=number,
            run_sd=0.03 * math.sqrt(factor),
            item_error=ERROR,
            item_freedom=FREEDOM,
        )
        assert found == pytest.approx(minimum_detectable_effect(design), rel=1e-6)
    text = printed(plan)
    assert "a, b; c, d: replicate k of these is one observation, for they share runs" in text
    if correlation is None:
        assert "as if all of it arose where it weighs most" in text
    else:
        assert f"correlation of {correlation:g} (assumed: run_correlation of the contrast)" in text


def test_what_arms_of_one_trunk_have_in_common_may_cancel() -> None:
    """Then independence is what makes the contrast most uncertain."""
    weights = {"a": 0.5, "b": -0.5, "c": 0.5, "d": -0.5}
    contrast = dataclasses.replace(WEIGHTED, weights=weights)
    main = planned(two_trunks(contrast), run_sd={"main": 0.03})["contrasts"]["main"]
    design = difference_design(
        num_replicates=3,
        run_sd=0.03 * math.sqrt(0.5),
        item_error=ERROR * math.sqrt(0.5),
        item_freedom=FREEDOM,
    )
    assert main["detectable"] == pytest.approx(minimum_detectable_effect(design), rel=1e-6)
    alike = dataclasses.replace(contrast, run_correlation=0.9)
    better = planned(two_trunks(alike), run_sd={"main": 0.03})["contrasts"]["main"]
    assert better["detectable"] < main["detectable"]


def test_paired_replicates_with_an_assumed_correlation() -> None:
    paired = dataclasses.replace(HIGHER, is_paired=True, run_correlation=0.7)
    plan = planned(study({"main": paired}), run_sd={"main": 0.01})
    main = plan["contrasts"]["main"]
    design = difference_design(
        num_replicates=3, run_sd=0.01, item_error=ERROR, item_freedom=FREEDOM, correlation=0.7
    )
    assert main["detectable"] == pytest.approx(minimum_detectable_effect(design), rel=1e-6)
    assert main["run_correlation"]["value"] == 0.7
    assert "correlation of 0.7 (assumed" in printed(plan)


def test_a_registered_correlation_replaces_a_measured_one() -> None:
    spread = Spread(
        run=Known(0.01, "runs", False),
        item=None,
        item_freedom=99,
        rest_sd=0.0,
        num_items=100,
        correlation=Known(0.9, "runs", False),
    )
    paired = dataclasses.replace(HIGHER, is_paired=True)
    for given, expected in ((None, 0.9), (0.2, 0.2)):
        one = dataclasses.replace(paired, run_correlation=given)
        plan = planned(study({"main": one}), measured={"main": spread})
        assert plan["contrasts"]["main"]["run_correlation"]["value"] == expected


def test_paired_replicates_are_pairs() -> None:
    paired = dataclasses.replace(HIGHER, is_paired=True)
    plan = planned(study({"main": paired}), run_sd={"main": 0.01})["contrasts"]["main"]
    design = difference_design(
        num_replicates=3, run_sd=0.01, item_error=ERROR, item_freedom=FREEDOM, correlation=0.0
    )
    assert plan["detectable"] == pytest.approx(minimum_detectable_effect(design), rel=1e-4)


@pytest.mark.parametrize("is_from_one", [False, True])
def test_replicates_of_one_trunk_are_one(is_from_one: bool) -> None:
    """Unless all arms start from it: then the contrast is about what follows it."""
    config = study({"main": HIGHER})
    phases = {**config.phases, "trunk": dataclasses.replace(TRUNK, is_replicated=False)}
    variants = {"plain": "other", "code": "child"} if is_from_one else config.variants
    if not is_from_one:
        phases["second"] = TRUNK
        phases["other"] = dataclasses.replace(CHILD, parent="second")
        variants = {"plain": "other", "code": "child"}
    config = dataclasses.replace(config, phases=phases, variants=variants)
    plan = planned(config)
    main = plan["contrasts"]["main"]
    assert main["is_from_one_checkpoint"] == is_from_one
    assert main["replicates"] == {"code": 3 if is_from_one else 1, "plain": 3}
    assert (main["detectable"] is None) == (not is_from_one)
    for number in (2, 3):
        steps = 10 + 8 * number if is_from_one else 10 + (4 + 10 + 4) * number
        expected = chip_hours(
            steps * STEP_TOKENS, model=config.model, seq_len=64, chip=CHIPS["v5e"], mfu=0.4
        )
        assert main["chip_hours"][number] == pytest.approx(expected)
    text = printed(plan)
    if is_from_one:
        assert "note    all runs start from one checkpoint" in text
    else:
        assert "note    code will have one independent replicate" in text
        assert "here    code 1, plain 3: no effect between recipes" in text


def test_runs_that_share_more_than_what_all_start_from_are_one() -> None:
    """The noise of what only the replicates of one arm share is in each of them."""
    config = study({"main": HIGHER})
    once = dataclasses.replace(TRUNK, is_replicated=False)
    phases = {
        "trunk": once,
        "middle": dataclasses.replace(CHILD, is_replicated=False),
        "other": CHILD,
        "child": dataclasses.replace(CHILD, parent="middle"),
    }
    variants = {"plain": "other", "code": "child"}
    plan = planned(dataclasses.replace(config, phases=phases, variants=variants))
    main = plan["contrasts"]["main"]
    assert main["replicates"] == {"code": 1, "plain": 3}
    assert main["detectable"] is None
    assert "note    code will have one independent replicate" in printed(plan)


def test_an_unknown_spread_is_said_to_be_unknown() -> None:
    """Losses: no assumption about documents; a metric of another unit: none about runs either."""
    contrast = dataclasses.replace(HIGHER, metric="loss/source/text/nats_per_token")
    plan = planned(study({"main": contrast}))
    main = plan["contrasts"]["main"]
    assert main["item_error"] is None
    assert main["floor"] is None
    design = difference_design(num_replicates=3, run_sd=0.05, item_error=0.0, item_freedom=1e9)
    assert main["detectable"] == pytest.approx(minimum_detectable_effect(design))
    text = printed(plan)
    assert "detects at least" in text
    assert "nothing is assumed of how nats/token vary over documents" in text
    assert "the least that may be detected, by runs alone" in text
    other = dataclasses.replace(HIGHER, metric="suite/boolq/aggregate/f1", published_effect=1.0)
    plan = planned(study({"main": other}))
    assert plan["contrasts"]["main"]["detectable"] is None
    assert "unknown without a standard deviation between runs" in printed(plan)
    assert "paper   1 value: unknown" in printed(plan)


def printed(plan: dict[str, Any]) -> str:
    console = io.StringIO()
    print_power(Console(file=console, width=200), plan)
    return console.getvalue()


def test_what_is_printed() -> None:
    contrast = dataclasses.replace(HIGHER, published_effect=0.2, margin=0.01)
    lines = printed(planned(study({"main": contrast}), run_sd={"main": 0.004})).splitlines()
    assert lines[1] == "power: the effect that a two-sided test finds with probability 0.8"
    assert lines[4] == "contrast main: mean of code − plain, higher, α = 0.05"
    assert lines[5] == "  runs    standard deviation 0.40 points (assumed: --run-sd)"
    assert lines[6].startswith(
        "  items   500; error of a difference 2.80 points (assumed: 50.0% of"
    )
    assert lines[7].split() == ["replicates", "of", "every", "arm", "2", "3", "5", "8", "∞"]
    assert lines[8].split()[:2] == ["detectable,", "points"]
    assert lines[8].split()[-1] == "7.83"
    assert lines[10].startswith("  here    code 3, plain 3: detects 8.0")
    assert lines[11].startswith(
        "  margin  1.00 points: below the floor if the items vary as assumed"
    )
    assert lines[12].startswith(
        "  paper   20.00 points: in reach, found with probability 1.00 here"
    )


def test_several_arms_of_one_sign_are_in_parentheses() -> None:
    weights = {"plain": 1.0, "code": -0.5, "third": -0.5}
    contrast = dataclasses.replace(HIGHER, variants=(), weights=weights)
    config = study({})
    config = dataclasses.replace(
        config, variants={**config.variants, "third": "other"}, contrasts={"main": contrast}
    )
    assert printed(planned(config)).splitlines()[4] == (
        "contrast main: mean of plain − (0.5·code + 0.5·third), higher, α = 0.05"
    )


def test_a_study_without_contrasts() -> None:
    assert "config.contrasts is empty" in printed(planned(study({})))
