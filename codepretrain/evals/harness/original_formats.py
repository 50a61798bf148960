"""Files of datasets as their authors publish them, for those that must be fetched by hand.

    allenai/quac          val_v0.2.json, train_v0.2.json
    LSDSem/story_cloze    cloze_test_val…csv, cloze_test_test…csv (sent by its authors on request)

The rows have the fields of the dataset on the Hugging Face Hub, which the task files expect.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from codepretrain.errors import UserError

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class OriginalFormat:
    """splits: split → pattern of its file's name. read: its bytes → rows."""

    splits: Mapping[str, str]
    read: Callable[[bytes], Rows]

    def split_of(self, name: str) -> str | None:
        """Returns the split that the file called `name` holds, None if none."""
        return next((s for s, pattern in self.splits.items() if fnmatch(name, pattern)), None)


def read_original(form: OriginalFormat, content: bytes, path: str) -> Rows:
    """Returns the rows of a file. Raises UserError if it is not of the format."""
    try:
        rows = form.read(content)
    except (ValueError, KeyError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is not in its authors' format: {problem}") from error
    if not rows:
        raise UserError(f"{path} has no items")
    return rows


def _quac(content: bytes) -> Rows:
    """One row per dialog."""
    rows = []
    for article in json.loads(content)["data"]:
        for paragraph in article["paragraphs"]:
            questions = paragraph["qas"]
            rows.append(
                {
                    "dialogue_id": paragraph["id"],
                    "wikipedia_page_title": article["title"],
                    "background": article["background"],
                    "section_title": article["section_title"],
                    "context": paragraph["context"],
                    "turn_ids": [q["id"] for q in questions],
                    "questions": [q["question"] for q in questions],
                    "orig_answers": {
                        "texts": [q["orig_answer"]["text"] for q in questions],
                        "answer_starts": [q["orig_answer"]["answer_start"] for q in questions],
                    },
                }
            )
    return rows


def _story_cloze(content: bytes) -> Rows:
    """One row per story, which has two endings."""
    return [
        {
            "story_id": row["InputStoryid"],
            **{f"input_sentence_{n}": row[f"InputSentence{n}"] for n in range(1, 5)},
            "sentence_quiz1": row["RandomFifthSentenceQuiz1"],
            "sentence_quiz2": row["RandomFifthSentenceQuiz2"],
            "answer_right_ending": int(row["AnswerRightEnding"]),
        }
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    ]


ORIGINAL_FORMATS: Mapping[str, OriginalFormat] = {
    "allenai/quac": OriginalFormat(
        {"train": "train_v0.2.json", "validation": "val_v0.2.json"}, _quac
    ),
    "LSDSem/story_cloze": OriginalFormat(
        {"validation": "cloze_test_val*.csv", "test": "cloze_test_test*.csv"}, _story_cloze
    ),
}
