"""What every experiment of the study measures. No study of its own.

`# paper`, `# inferred` and `# ours` as in `experiments/study/sources.py`.
"""

from codepretrain.config.schema import AveragesConfig, EvaluatorConfig
from codepretrain.evals.harness.suite import CATEGORIES

# The evaluations that the training data must not contain: JSON lines with a field "text" for the
# question, the answer and the tests of each item. The last is of the win rates.
BENCHMARKS = (
    *("triviaqa", "nq_open"),
    *("boolq", "piqa", "sciq", "social_iqa", "quac", "cb", "copa", "storycloze"),
    *("hellaswag", "winogrande", "arc_easy"),
    *("humaneval", "mbpp"),
    "dolly_200",
)

# `codepretrain evaluate --download` fills this folder; StoryCloze is placed there by hand.
TASK_DATA = "corpora/tasks"

# ours: the sources whose held-out loss is measured. Those of the controls have the same documents.
HELD_OUT = (
    *("text", "web_code", "markup", "synthetic_code", "issues", "stackexchange", "notebooks"),
    *("text_quality", "text_math"),
)
BITS_OF_TEXT = "validation/source/text/bits_per_byte"
BITS_OF_CODE = "validation/source/web_code/bits_per_byte"


def suite() -> dict[str, EvaluatorConfig]:
    """Returns the paper's evaluations: 0-shot, greedy, at the end of each phase (ours: when)."""
    tasks = [*CATEGORIES["world_knowledge"], *CATEGORIES["reasoning"]]
    return {
        "suite": EvaluatorConfig(
            kind="harness",
            num_examples=100_000,  # all items
            options={"tasks": ",".join(CATEGORIES), "data": TASK_DATA},
            benchmarks=tuple("storycloze" if t == "storycloze_2016" else t for t in tasks),
        ),
        "human_eval": EvaluatorConfig(
            kind="code_generation",
            num_examples=164,
            options={"task": "human_eval", "data": TASK_DATA},
            benchmarks=("humaneval",),
        ),
        "mbpp": EvaluatorConfig(
            kind="code_generation",
            num_examples=500,
            options={"task": "mbpp", "num_fewshot": 0, "data": TASK_DATA},
            benchmarks=("mbpp",),
        ),
    }


EVALS = {
    "validation": EvaluatorConfig(
        kind="validation_loss",
        interval_steps=5000,  # ours
        num_examples=2048,  # ours
        options={"sources": ", ".join(HELD_OUT)},
    ),
    **suite(),
    "dolly_200": EvaluatorConfig(  # for `codepretrain judge`: docs/win_rates.md
        kind="completions",
        num_examples=200,  # paper
        options={
            "prompts": "corpora/dolly/evaluation_prompts.jsonl",
            "max_new_tokens": 512,  # ours: neither the length nor the sampling is said
        },
        benchmarks=("dolly_200",),
    ),
}

_REASONING = {task: f"suite/{task}/accuracy" for task in CATEGORIES["reasoning"]}
_SMALL = ("cb", "copa")  # 56 and 100 items

# paper: categories are means of tasks, and totals of categories. Its Table 2 has them.
AVERAGES = AveragesConfig(
    categories={
        "world_knowledge": tuple(
            f"suite/{task}/score/exact_match" for task in CATEGORIES["world_knowledge"]
        ),
        "reasoning": tuple(_REASONING.values()),
        "code": ("human_eval/pass_at_1", "mbpp/pass_at_1"),
        # ours: without the two tasks that have 87% of the error of `reasoning`
        "reasoning_9_tasks": tuple(s for task, s in _REASONING.items() if task not in _SMALL),
    },
    totals={
        "natural_language": ("reasoning", "world_knowledge"),
        "total": ("reasoning", "world_knowledge", "code"),
    },
    # ours: none. The paper leaves out tasks on which not all models beat chance, unnamed.
    excluded=(),
)
