import dataclasses

import pytest

from codepretrain.model.presets import preset
from tests.experiments.plans import experiment


def test_scale_differs_from_initialization_in_the_model_alone() -> None:
    small, large = experiment("initialization"), experiment("scale")
    assert large.model == preset("2_8b")
    assert dataclasses.replace(large, name=small.name, model=small.model) == small


def test_published_effects_are_differences_in_table_2() -> None:
    """By hand: 53.3 - 49.0 of reasoning, 9.0 - 0.4 of code, 32.9 - 32.6 after the cooldown."""
    contrasts = experiment("initialization").contrasts
    reasoning = contrasts["reasoning_code_text"]
    assert reasoning.arms == {"code_text_trunk": 1.0, "text_only_trunk": -1.0}
    assert (reasoning.published_effect, reasoning.published_score) == (0.043, 0.49)
    assert reasoning.margin == 0.0215
    assert contrasts["code_balanced_only"].published_effect == 0.086
    cooled = contrasts["cooled_natural_language_balanced_text"]
    assert cooled.arms == {"balanced_text": 1.0, "text_only": -1.0}
    assert cooled.published_effect == pytest.approx(0.003)
    # The text says +21%, the table 9.9 and 9.5.
    assert contrasts["knowledge_balanced_text_code_text"].published_effect == 0.004


def test_the_prompts_of_the_win_rates_are_in_no_source_of_instructions() -> None:
    data = experiment("initialization").data
    assert data.sources["text_instruct"].options["excluded_prompts"]
    assert "dolly_200" in data.decontamination.benchmarks
