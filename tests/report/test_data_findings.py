import copy
from typing import Any

from codepretrain.report.data_findings import (
    limit_lines,
    sampled_lines,
    split_sentence,
    warning_lines,
)

Description = dict[str, Any]


def test_a_split_that_holds(description: Description) -> None:
    assert split_sentence(description) == (
        "No group, text or pair of similar texts that was found is on both sides."
    )
    unsearched = {**description, "split": {**description["split"], "num_clusters": None}}
    assert split_sentence(unsearched) == (
        "No group or text is on both sides of the split. Similar texts were not searched."
    )


def test_a_split_that_leaks_says_what(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["split"] |= {"holds": False, "groups_on_both_sides": 1234, "texts_on_both_sides": 2}
    assert split_sentence(changed) == ("The split leaks: 1,234 groups, 2 texts are on both sides.")


def test_limits_are_named_with_their_option(description: Description) -> None:
    [line] = limit_lines(description)
    limit = description["sources"]["prose"]["limit"]
    assert f"config.data.sources.prose.options.max_bytes = {limit:,}" in line


def test_a_sample_is_named(description: Description) -> None:
    assert sampled_lines(description) == []
    changed = copy.deepcopy(description)
    changed["sources"]["code"]["languages"] |= {"num_examined": 100, "num_documents": 5000}
    assert sampled_lines(changed) == [
        "code: languages of a sample, 100 evenly distributed documents of 5,000"
    ]


def test_warnings(description: Description) -> None:
    assert warning_lines(description) == []
    changed = copy.deepcopy(description)
    changed["sources"]["notes"]["rows"]["validation"]["num_rows"] = 0
    changed["split"]["num_too_large"] = 1200
    [annealed] = [v for v in changed["use"]["variants"] if v["variant"] == "annealed"]
    annealed["sources"]["notes"]["epochs"] = 1.75
    changed["decontamination"] = {}
    lines = warning_lines(changed)
    assert len(lines) == 4
    num_groups = description["overlap"]["totals"]["notes"]["num_groups"]
    assert lines[0].startswith(f"no held-out rows of notes (groups: {num_groups:,}): a group is")
    assert lines[1].startswith("1,200 documents are always trained on")
    assert lines[2] == (
        "variant annealed reads notes 1.75 times, config.data.sources.notes.max_epochs = 1.5"
    )
    assert "config.data.decontamination.benchmarks is empty" in lines[3]
