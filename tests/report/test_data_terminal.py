import copy
import io
from typing import Any

import pytest
from rich.console import Console

from codepretrain.report.data_terminal import print_description

Description = dict[str, Any]


def printed(description: Description, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_description(console, description)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_table_and_finding(description: Description) -> None:
    text = printed(description)
    for title in (
        *("What was read", "Rows", "Languages in rows", "Phases", "Repetition"),
        *("Overlap between sources", "Split", "Evaluation sets"),
    ):
        assert f"\n{title}" in text
    assert "code: 1 hexadecimal, by hexadecimal_prefix (such as code.jsonl:121)" in text
    assert "config.data.sources.prose.options.max_bytes" in text
    assert text.endswith(
        "No group, text or pair of similar texts that was found is on both sides.\n"
    )


@pytest.mark.parametrize("width", [20, 80, 200])
def test_no_cell_is_cut(description: Description, width: int) -> None:
    text = printed(description, width)
    assert "…" not in text
    [annealed] = [v for v in description["use"]["variants"] if v["variant"] == "annealed"]
    epochs = f"{annealed['sources']['notes']['epochs']:.2f}"
    for cell in ("exact duplicates", "82.5 kB", epochs, "$odd$ [b]name[/b]"):
        assert cell in text


def test_control_characters_do_not_reach_the_terminal(description: Description) -> None:
    changed = copy.deepcopy(description)
    for entry in changed["sources"]["prose"]["fates"]["fates"]:
        entry["examples"] = ["\x1b[2Jname\n[bold]"]
        entry["reason"] = "odd\x07"
    text = printed(changed)
    assert "\x1b" not in text
    assert "1 odd\\x07, by reader (such as \\x1b[2Jname\\n[bold])" in text


def test_one_source_without_evaluation_sets(description: Description) -> None:
    changed = {**description, "decontamination": {}}
    changed["overlap"] = {**description["overlap"], "pairs": []}
    text = printed(changed)
    assert "Evaluation sets" not in text
    assert "Overlap between" not in text
    assert "no evaluation set was sought" in text
