from itertools import product

import pytest

from tests.experiments.plans import experiment, phases, shares

NAME = "recipes"
FACTORIAL = {
    "balanced_text" if set(c) == {"code"} else "_".join(c): c
    for c in product(("text", "code"), repeat=3)
}


def code_of(phase: str) -> float:
    found = shares(NAME, phase)
    return found.get("web_code", 0.0) + found.get("markup", 0.0)


@pytest.mark.parametrize("variant", FACTORIAL)
def test_the_factorial_has_code_where_the_name_says(variant: str) -> None:
    last = phases(NAME)[experiment(NAME).variants[variant]]
    assert [round(phase.tokens / 1e9) for phase in last.path] == [200, 200, 40]
    doses = (0.5, 0.1, 0.2)
    expected = [dose * (c == "code") for dose, c in zip(doses, FACTORIAL[variant], strict=True)]
    assert [code_of(phase.name) for phase in last.path] == pytest.approx(expected, abs=1e-6)


def test_effects_are_contrasts_of_the_whole_factorial() -> None:
    """Scores with an effect of 1 of pre-training, 2 of the cooldown and 4 of both together."""
    scores = {}
    for variant, (first, _, last) in FACTORIAL.items():
        pre, cool = first == "code", last == "code"
        scores[variant] = 1.0 * pre + 2.0 * cool + 4.0 * (pre and cool)
    contrasts = experiment(NAME).contrasts

    def effect(name: str) -> float:
        arms = contrasts[f"effect_of_{name}"].arms
        assert arms.keys() == FACTORIAL.keys()
        return sum(weight * scores[arm] for arm, weight in arms.items())

    assert effect("pretraining") == pytest.approx(1 + 4 / 2)
    assert effect("cooldown") == pytest.approx(2 + 4 / 2)
    assert effect("continued") == pytest.approx(0)
    assert effect("cooldown_by_pretraining") == pytest.approx(4)
    assert effect("pretraining_by_continued_by_cooldown") == pytest.approx(0)


@pytest.mark.parametrize(("name", "code"), [("balanced_text", 0.5), ("code_text", 1.0)])
def test_one_cosine_reads_what_the_two_phases_read(name: str, code: float) -> None:
    whole = phases(NAME)[f"{name}_one_cosine"]
    restarted = phases(NAME)[f"{name}_continued"]
    assert whole.num_steps == restarted.parent.num_steps + restarted.num_steps - 1
    before, after = (stage.weights for stage in whole.stages)
    assert before.get("text", 0.0) == pytest.approx(1 - code)
    assert after["text"] == pytest.approx(0.9)
    rates = [whole.learning_rate(step) for step in range(1325, whole.num_steps, 1000)]
    assert rates == sorted(rates, reverse=True)
    assert restarted.learning_rate(0) == 0.0
    read, both = whole.rows_per_source(), restarted.ordinals_at(restarted.num_steps)
    assert read == pytest.approx(both, rel=1e-3)


def test_the_recommended_recipe_is_balanced_text_with_synthetic_code_in_the_initializer() -> None:
    last = phases(NAME)[experiment(NAME).variants["recommended"]]
    other = phases(NAME)[experiment(NAME).variants["balanced_text"]]
    assert [p.stages for p in last.path][1:] == [p.stages for p in other.path][1:]
    assert shares(NAME, last.path[0].name)["synthetic_code"] == pytest.approx(0.05, abs=1e-6)


def test_table_2_has_a_variant_for_each_of_its_rows() -> None:
    table = set(experiment("initialization").phases)
    assert table <= set(experiment(NAME).variants.values())


def test_what_the_paper_lacks_and_could_explain_its_effects_is_a_control() -> None:
    """As docs/experiments.md says: the stages and their interactions, and the one cosine."""
    contrasts = experiment(NAME).contrasts
    controls = {name for name, of in contrasts.items() if of.is_control}
    assert controls == {
        name for name in contrasts if name.startswith(("effect_of_", "restart_of_"))
    }
