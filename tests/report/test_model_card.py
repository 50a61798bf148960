"""Model cards: what is there is the study's, and what is not is called absent."""

import dataclasses
import math
from typing import Any

import pytest
from huggingface_hub import ModelCard

from codepretrain.config.parse import to_dict
from codepretrain.evals.metric import Metric
from codepretrain.report.card_facts import CardFacts, CardPhase, CardSource
from codepretrain.report.evaluations import Evaluation
from codepretrain.report.model_card import model_card
from codepretrain.rows.document_tallies import Tallies, Tally
from tests.configs import small_study


def plan(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "steps": 20,
        "tokens": 2_000,
        "initial_checkpoint": None,
        "parent": None,
        "parent_step": None,
        "learning_rate": {"start": 0.0, "peak": 3e-3, "end": 3e-4, "warmup_steps": 5},
        **fields,
    }


def metric(**fields: Any) -> Metric:
    values = {
        "value": 0.75,
        "standard_error": 0.03,
        "count": 200,
        "num_items": 200,
        "freedom": 199.0,
        "unit": "fraction",
        "direction": "higher",
        "is_primary": True,
        "null_value": 0.25,
        "cluster": "item",
    }
    return Metric.from_json({**values, **fields})


def evaluation(**metrics: Metric) -> Evaluation:
    return Evaluation(step=20, evaluator="quiz", digest="d" * 64, identity={}, metrics=metrics)


@pytest.fixture
def facts() -> CardFacts:
    study = small_study()
    trunk = CardPhase(
        plan=plan("trunk"),
        step=10,
        mixture=[{"start_tokens": 0, "weights": {"text": 3.0, "code": 1.0}}],
        seeds=(7, 8),
    )
    branch = CardPhase(
        plan=plan("branch", parent="trunk", parent_step=10),
        step=20,
        mixture=[
            {"start_tokens": 0, "weights": {"text": 1.0}},
            {"start_tokens": 500, "weights": {"code": 1.0, "text": 1.0}},
        ],
        seeds=(None, 8),
    )
    tallies = Tallies(
        num_examined=3,
        num_documents=9,
        by_value={
            "MIT": Tally(num_documents=2, num_bytes=20, num_tokens=5),
            "": Tally(num_documents=1, num_bytes=2, num_tokens=1),
        },
    )
    text = CardSource(
        name="text", kind="text", reader="lines", tokens=2_000, available=1_000, licenses=tallies
    )
    code = dataclasses.replace(
        text, name="code", tokens=1_000, available=None, licenses="rows are missing"
    )
    return CardFacts(
        study="small",
        phase="branch",
        step=20,
        num_steps=20,
        fingerprint="f" * 64,
        model=to_dict(study.model),
        num_parameters=1_234,
        num_parameters_non_embedding=1_000,
        max_seq_len=100,
        batch_size=1,
        optimizer=to_dict(study.optimizer),
        tokens=3_000,
        phases=(trunk, branch),
        sources=(text, code),
        initial=None,
        ledger={},
        tokenizer_sha256="t" * 64,
        evaluations=(evaluation(accuracy=metric()),),
        not_evaluated={"loss": "no result at this step"},
        benchmarks={"quiz": ("trivia",)},
        sought=(),
        ngram_words=13,
        start={},
        code_version="0.1.0",
        command="codepretrain export",
        num_replicates=1,
    )


def written(facts: CardFacts) -> str:
    return model_card(facts, dtype="bfloat16", weights_sha256="w" * 64)


def test_the_header_is_what_the_hub_reads(facts: CardFacts) -> None:
    data: Any = ModelCard(written(facts)).data
    assert data.to_dict()["pipeline_tag"] == "text-generation"
    assert data.model_name == "small/branch@20"
    (result,) = data.eval_results
    assert (result.dataset_type, result.metric_type, result.metric_value) == (
        *("quiz", "accuracy"),
        0.75,
    )
    assert result.dataset_args == {"digest": "d" * 64}
    assert result.metric_args["num_items"] == 200
    # Nothing is claimed of what the study does not state.
    assert data.license is data.language is data.datasets is None


def test_values_are_there_and_missing_ones_are_absent(facts: CardFacts) -> None:
    text = written(facts)
    for line in (
        "| trunk | random parameters (seed 7) | 10 of 20 | 1k | text 75%, code 25% | 8 |",
        "| branch | trunk at step 10 | 20 | 2k | text 100%; from 500: code 50%, text 50% | 8 |",
        "| text | text | lines | 2,000 | 66.7% | 1,000 | 2.00 |",
        "| code | text | lines | 1,000 | 33.3% | absent | absent |",
        "| text | MIT | 2 | 5 | 3 of 9 |",
        "| text | absent: the corpus states none | 1 | 1 | 3 of 9 |",
        "| code | absent: rows are missing |",
        "| quiz | accuracy | 75.0% | ",
        " | % | 200 | 25.0% | ",
        "- Not evaluated: loss, no result at this step.",
        "- No evaluation set was sought in the training data (no decontamination).",
        "- The items of quiz are from trivia, not sought in the training data.",
        "- The recipe was trained once",
        "| training command | absent |",
        "| trained on | absent |",
        "| digest of the rows read | absent |",
    ):
        assert line in text, line
    assert "None" not in text


def test_decontamination_and_replicates_are_told(facts: CardFacts) -> None:
    text = written(dataclasses.replace(facts, sought=("trivia", "facts"), num_replicates=3))
    assert "share 13 words in a row with the evaluation sets trivia and facts were dropped" in text
    assert "not sought in the training data" not in text
    assert "- This is one of 3 replicates of the recipe." in text


def test_an_average_and_an_imported_start(facts: CardFacts) -> None:
    members = [
        {"phase": "one", "step": 20, "weight": 0.5},
        {"phase": "two", "step": 10, "weight": 0.5},
    ]
    average = CardPhase(
        plan=plan("soup", steps=1, tokens=0, members=members, learning_rate={}),
        step=1,
        mixture=(),
        seeds=(None, 8),
    )
    first = CardPhase(
        plan=plan("one", initial_checkpoint="base"), step=20, mixture=(), seeds=(7, 8)
    )
    text = written(
        dataclasses.replace(
            facts, phases=(first, average), initial=("base", "b" * 64), phase="soup"
        )
    )
    assert (
        "| soup | average of one at step 20 (weight 0.5), two at step 10 (weight 0.5) | 1 | 0 | – "
        "| – | – | – |"
    ) in text
    assert "| one | imported base | 20 |" in text
    assert "The data of the imported model `base` is not known here." in text
    assert f"| initial weights, sha256 | `{'b' * 64}` |" in text


def test_numbers_that_yaml_lacks_are_left_out(facts: CardFacts) -> None:
    broken = evaluation(accuracy=metric(standard_error=math.nan, value=0.5, num_items=100))
    data: Any = ModelCard(written(dataclasses.replace(facts, evaluations=(broken,)))).data
    assert data.eval_results is None
    text = written(dataclasses.replace(facts, evaluations=(), not_evaluated={}))
    assert "Results at this step are absent." in text
    assert "- Not evaluated: the study names no evaluation." in text


def test_text_stays_in_its_cell(facts: CardFacts) -> None:
    text = written(dataclasses.replace(facts, command="export --x 'a|b'\n| c"))
    assert "`export --x 'a\\|b' \\| c`" in text
