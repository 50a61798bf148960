import json

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.harness.original_formats import ORIGINAL_FORMATS, read_original

# Two turns of one dialog, in the file format of the dataset's authors.
QUAC = {
    "data": [
        {
            "title": "Ada Lovelace",
            "section_title": "Notes",
            "background": "A mathematician.",
            "paragraphs": [
                {
                    "id": "C_1",
                    "context": "She wrote notes. CANNOTANSWER",
                    "qas": [
                        {
                            "id": "C_1_q#0",
                            "question": "What did she write?",
                            "followup": "y",
                            "yesno": "x",
                            "answers": [{"text": "notes", "answer_start": 10}],
                            "orig_answer": {"text": "notes", "answer_start": 10},
                        },
                        {
                            "id": "C_1_q#1",
                            "question": "When?",
                            "followup": "n",
                            "yesno": "x",
                            "answers": [{"text": "CANNOTANSWER", "answer_start": 17}],
                            "orig_answer": {"text": "CANNOTANSWER", "answer_start": 17},
                        },
                    ],
                }
            ],
        }
    ]
}
STORIES = (
    "InputStoryid,InputSentence1,InputSentence2,InputSentence3,InputSentence4,"
    "RandomFifthSentenceQuiz1,RandomFifthSentenceQuiz2,AnswerRightEnding\n"
    'a-1,"Rick, a boy, grew up.",He ran.,He hid.,He came back.,He is glad.,He flew.,1\n'
)


def test_quac_as_published() -> None:
    form = ORIGINAL_FORMATS["allenai/quac"]
    assert form.split_of("val_v0.2.json") == "validation"
    (row,) = read_original(form, json.dumps(QUAC).encode(), "f")
    assert row["turn_ids"] == ["C_1_q#0", "C_1_q#1"]
    assert row["orig_answers"]["texts"] == ["notes", "CANNOTANSWER"]
    assert (row["wikipedia_page_title"], row["section_title"]) == ("Ada Lovelace", "Notes")


def test_story_cloze_as_sent_by_its_authors() -> None:
    form = ORIGINAL_FORMATS["LSDSem/story_cloze"]
    assert form.split_of("cloze_test_test__spring2016 - cloze_test_ALL_test.csv") == "test"
    assert form.split_of("cloze_test_val__spring2016 - cloze_test_ALL_val.csv") == "validation"
    (row,) = read_original(form, b"\xef\xbb\xbf" + STORIES.encode(), "f")
    assert row["input_sentence_1"] == "Rick, a boy, grew up."
    assert row["answer_right_ending"] == 1
    assert row["sentence_quiz2"] == "He flew."


@pytest.mark.parametrize(
    ("path", "content", "problem"),
    [
        ("allenai/quac", b"{", "JSONDecodeError"),
        ("allenai/quac", b'{"data": [{"paragraphs": [{}]}]}', "KeyError"),
        ("LSDSem/story_cloze", b"a,b\n1,2\n", "KeyError: 'InputStoryid'"),
        ("LSDSem/story_cloze", STORIES.splitlines()[0].encode(), "has no items"),
    ],
)
def test_another_format_is_refused(path: str, content: bytes, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read_original(ORIGINAL_FORMATS[path], content, "file.x")
