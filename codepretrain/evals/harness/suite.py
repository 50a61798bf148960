"""The study's suite: which tasks of the harness make up each category.

Source: Aryabumi et al., 2024 (arXiv 2408.10914), table 1 and section 2.3; every task 0-shot. The
code category (HumanEval, MBPP) runs programs and is an evaluator of its own kind.

The paper is silent on how QuAC and StoryCloze are cast. Ours: QuAC is a choice among the answers of
its dialogue (`tasks/quac.py`); StoryCloze is the test split of 2016.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SuiteTask:
    """A task that the suite knows more of than the harness does.

    Attributes:
      folder: where the harness keeps it, below `lm_eval/tasks`; None for one of our own.
      cluster: the field of a document that names its cluster: items of one passage are not
        independent. None where every item stands alone.
      license: of the dataset, as its authors state it.
      num_items: of the split that is used, as published. A plan counts on it; the data decides.
      num_clusters: likewise; None where it is not published, or every item stands alone.
    """

    folder: str | None
    license: str
    num_items: int
    num_clusters: int | None = None
    cluster: str | None = None


TASKS: Mapping[str, SuiteTask] = {
    "triviaqa": SuiteTask(
        num_items=17_944, folder="triviaqa", license="unknown (website); Apache-2.0 (code)"
    ),
    "nq_open": SuiteTask(num_items=3_610, folder="nq_open", license="CC-BY-SA-3.0"),
    "boolq": SuiteTask(
        num_items=3_270, folder="super_glue/boolq", license="CC-BY-SA-3.0", cluster="passage"
    ),
    "piqa": SuiteTask(num_items=1_838, folder="piqa", license="AFL-3.0"),
    "sciq": SuiteTask(num_items=1_000, folder="sciq", license="CC-BY-NC-3.0", cluster="support"),
    "social_iqa": SuiteTask(num_items=1_954, folder="siqa", license="CC-BY-4.0", cluster="context"),
    "quac": SuiteTask(
        num_items=7_354, num_clusters=1_000, folder=None, license="CC-BY-SA-4.0", cluster="context"
    ),
    "cb": SuiteTask(
        num_items=56, folder="super_glue/cb", license="custom (SuperGLUE)", cluster="premise"
    ),
    "copa": SuiteTask(
        num_items=100, folder="super_glue/copa", license="BSD-2-Clause", cluster="premise"
    ),
    "storycloze_2016": SuiteTask(
        num_items=1_871, folder="storycloze", license="on request from its authors"
    ),
    "hellaswag": SuiteTask(
        num_items=10_042, folder="hellaswag", license="MIT", cluster="source_id"
    ),
    "winogrande": SuiteTask(num_items=1_267, folder="winogrande", license="CC-BY"),
    "arc_easy": SuiteTask(num_items=2_376, folder="arc", license="CC-BY-SA-4.0"),
}

# Category → its tasks. A category's score is the mean over its tasks, the average over several
# categories the mean over the categories: for these two, the paper's natural-language average.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "world_knowledge": ("triviaqa", "nq_open"),
    "reasoning": (
        "boolq",
        "piqa",
        "sciq",
        "social_iqa",
        "quac",
        "cb",
        "copa",
        "storycloze_2016",
        "hellaswag",
        "winogrande",
        "arc_easy",
    ),
}

# Fields by which the items of other tasks are grouped, where a document has one of them.
PASSAGE_FIELDS = ("passage", "context", "article", "paragraph", "story", "support", "premise")
