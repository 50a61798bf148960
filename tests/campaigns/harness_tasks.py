"""Tasks of five types in the harness's format, with random items, for the campaign."""

import json
import random
from pathlib import Path
from typing import Any

WORDS = (
    *("river", "stone", "light", "the", "of", "under", "walks", "sings", "and", "slowly", "no"),
    *("yes", "house", "naïve", "café", "漢字", "☃", "alpha", "x1", "return", "Paris", "blue,"),
)
NUM_ITEMS = 240


def words(rng: random.Random, count: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(count)]


def text(rng: random.Random, least: int, most: int) -> str:
    return " ".join(words(rng, rng.randint(least, most)))


CORPUS = [text(random.Random(n), 50, 200) for n in range(100)]

# Choices after a context, whose passages are shared.
_PASSAGES = """
task: passages
output_type: multiple_choice
doc_to_text: "{{passage}}\\nQuestion: {{question}}?\\nAnswer:"
doc_to_target: label
doc_to_choice: ["no", "yes"]
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: f1}]
"""
_ENDINGS = """
task: endings
output_type: multiple_choice
doc_to_text: "{{beginning}}"
doc_to_target: "{{label}}"
doc_to_choice: endings
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
# Choices within the context, before the same continuation.
_BLANKS = """
task: blanks
output_type: multiple_choice
doc_to_text: "{{answer}}"
doc_to_target: "{{rest}}"
doc_to_choice: "{{options}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
_LAST_WORDS = """
task: last_words
output_type: loglikelihood
doc_to_text: "{{text.split(' ')[:-1]|join(' ')}}"
doc_to_target: "{{' ' + text.split(' ')[-1]}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
_PAGES = """
task: pages
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{page}}"
metric_list: [{metric: word_perplexity}, {metric: bits_per_byte}]
"""
_QUESTIONS = """
task: questions
output_type: generate_until
doc_to_text: "Question: {{question}}?\\nAnswer:"
doc_to_target: "{{answers}}"
generation_kwargs: {until: ["\\n", ".", ","], do_sample: false, temperature: 0.0, max_gen_toks: 12}
filter_list:
  - name: remove_whitespace
    filter: [{function: remove_whitespace}, {function: take_first}]
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    ignore_punctuation: true
"""
TASKS = {
    "passages": _PASSAGES,
    "endings": _ENDINGS,
    "blanks": _BLANKS,
    "last_words": _LAST_WORDS,
    "pages": _PAGES,
    "questions": _QUESTIONS,
}


def item(task: str, number: int) -> dict[str, Any]:
    rng = random.Random(f"{task}/{number}")
    if task == "passages":
        passage = text(random.Random(f"passage/{number // 3}"), 10, 60)
        return {"passage": passage, "question": text(rng, 2, 8), "label": rng.randrange(2)}
    if task == "endings":
        endings = [text(rng, 1, 12) for _ in range(4)]
        # The last items are longer than the window.
        longest = 30 if number < NUM_ITEMS - 10 else 200
        return {"beginning": text(rng, 1, longest), "endings": endings, "label": rng.randrange(4)}
    if task == "blanks":
        before = text(rng, 1, 10)
        options = [f"{before} {text(rng, 1, 3)}" for _ in range(2)]
        return {"options": options, "answer": rng.randrange(2), "rest": text(rng, 1, 8)}
    if task == "last_words":
        return {"text": text(rng, 5, 40)}
    if task == "pages":
        return {"page": text(rng, 1, 400 if number % 4 == 0 else 30)}
    return {"question": text(rng, 3, 20), "answers": [text(rng, 1, 2), "river"]}


def write_tasks(folder: Path) -> None:
    """Writes `<task>.yaml` and its items; other items for examples in prompts."""
    folder.mkdir()
    for name, head in TASKS.items():
        for split, numbers in {"test": range(NUM_ITEMS), "train": range(1000, 1020)}.items():
            lines = "".join(json.dumps(item(name, n)) + "\n" for n in numbers)
            (folder / f"{name}.{split}.jsonl").write_text(lines)
        files = f"{{data_files: {{test: {name}.test.jsonl, train: {name}.train.jsonl}}}}"
        (folder / f"{name}.yaml").write_text(
            f"{head.strip()}\ndataset_path: json\ndataset_kwargs: {files}\n"
            "test_split: test\ntraining_split: train\nmetadata: {version: 1.0}\n"
        )
