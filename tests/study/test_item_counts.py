import dataclasses
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.load import load_study
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.evals.validation_loss import EVALUATOR
from codepretrain.rows.data_dir import data_dir
from codepretrain.study.item_counts import ItemCount, item_count
from tests.configs import small_study
from tests.conftest import TINY

EVALS = {
    "suite": EvaluatorConfig(
        kind="harness", num_examples=1000, options={"tasks": "boolq,quac,cb,agreement"}
    ),
    "human_eval": EvaluatorConfig(kind="code_generation", options={"task": "human_eval"}),
    "loss": EvaluatorConfig(kind="validation_loss", num_examples=50),
    "prose": EvaluatorConfig(
        kind="multiple_choice", num_examples=77, options={"task": "prose_continuation"}
    ),
}


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("suite/cb/accuracy", ItemCount(56, "published size")),
        ("suite/boolq/accuracy", ItemCount(1000, "config")),
        ("suite/quac/accuracy", ItemCount(1000, "published size")),
        ("suite/agreement/accuracy", ItemCount(1000, "config")),
        ("suite/average/reasoning", None),
        ("human_eval/pass_at_1", ItemCount(164, "published size")),
        ("prose/accuracy", ItemCount(77, "config")),
        ("loss/source/text/nats_per_token", ItemCount(50, "config")),
        ("loss/all/bits_per_byte", ItemCount(100, "config")),
    ],
)
def test_before_anything_is_prepared(
    tmp_path: Path, score: str, expected: ItemCount | None
) -> None:
    config = dataclasses.replace(small_study(), evals=EVALS)
    assert item_count(config, epath.Path(tmp_path), score) == expected


def test_prepared_documents(prepared: Path, config: StudyConfig) -> None:
    """The tiny study holds out a fifth of 300 documents of each source."""
    data = data_dir(epath.Path(prepared), config)
    assert EVALUATOR.name == config.evals["validation"].kind
    score = "validation/source/text/nats_per_token"
    assert item_count(config, data, score) == ItemCount(16, "prepared data")
    more = load_study(
        TINY,
        [
            f"--config.data.sources.{kind}.options.path={config.data.sources[kind].options['path']}"
            for kind in ("text", "code")
        ]
        + ["--config.evals.validation.num_examples=1000"],
    )
    found = item_count(more, data, score)
    assert found is not None
    assert 30 < found.count < 90
    both = item_count(more, data, "validation/all/bits_per_byte")
    assert both is not None
    assert found.count < both.count < 180
