from pathlib import Path

from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.python_expression import PythonExpression, grade, program
from codepretrain.evals.sandbox.run import run_programs
from codepretrain.evals.tasks import GenerationItem, load_items
from codepretrain.model.transformer import Params
from codepretrain.vocabulary import Vocabulary

ITEM = GenerationItem(
    id="e",
    prompt=[1],
    expression_prefix="[1, 2] + ",
    expected="[1, 2, 3]",
    reference="[3]",
    max_new_tokens=4,
)
WRITTEN = {
    "[3]": (True, True),
    "[3], 4) and whatever": (True, True),
    "sorted({3})": (False, False),  # it ends at the first expression: `sorted`
    "[4]": (False, True),
    "[": (False, False),
    "": (False, False),
    "(print('[1, 2, 3]'))": (False, False),
    "(__import__('os')._exit(0))": (False, True),
    "[prefix]": (False, False),
    "'\udcff'": (False, False),
}


def test_only_the_value_counts() -> None:
    executions = run_programs([program(ITEM, text) for text in WRITTEN])
    result = grade([ITEM] * len(WRITTEN), list(WRITTEN), executions)
    found = zip(result.items.scores["pass_at_1"], result.items.scores["runs"], strict=True)
    assert dict(zip(WRITTEN, found, strict=True)) == WRITTEN
    assert result.metrics["pass_at_1"].value == 2 / 10
    assert result.metrics["runs"].count == 10
    record = result.items.records[3]
    assert (record["completion"], record["printed"]) == ("[4]", "[1, 2, 4]\n")
    assert record["isolation"][0]


def test_completions_of_the_model_are_run_and_reproducible(
    model: LanguageModel, vocabulary: Vocabulary, sharded_params: Params, data_dir: Path
) -> None:
    items = load_items(data_dir, "python_expression", GenerationItem, num_examples=6, vocab_size=64)
    evaluate = PythonExpression(model, items)
    result = evaluate(sharded_params)
    assert result.metrics == evaluate(sharded_params).metrics
    for item, record in zip(items, result.items.records, strict=True):
        (ids,) = model.generate(sharded_params, [item.prompt], max_new_tokens=4, stop_bytes=b"\n")
        assert record["completion"] == vocabulary.decode(ids).split(b"\n")[0].decode()


def test_a_model_that_writes_the_reference_passes(data_dir: Path) -> None:
    items = load_items(data_dir, "python_expression", GenerationItem, num_examples=6, vocab_size=64)
    executions = run_programs([program(item, item.reference) for item in items])
    assert (
        grade(items, [item.reference for item in items], executions).metrics["pass_at_1"].value == 1
    )
