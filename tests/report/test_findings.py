from codepretrain.report.compare import Comparison
from codepretrain.report.findings import caution, findings, overview


def test_findings_are_ahead_behind_or_not_distinguishable(study, comparison):
    found = {finding.variant: finding for finding in findings(comparison)}
    assert list(found) == [v for v in study.variants if v != "text_only"]
    code_first = found["code_to_text"]
    assert code_first.signs == ("ahead", "behind")
    assert code_first.between.text == "two checkpoints"
    assert "code" in [entry.label for entry in code_first.favorable]
    assert "text_reference" in [entry.label for entry in code_first.unfavorable]
    (entry,) = found["cooldown_text"].not_distinguishable
    assert entry.text == f"prose continuation {entry.difference} ({entry.interval})"


def test_the_overview_counts_differences_between_checkpoints(comparison):
    text = overview(comparison)
    assert "differences from the checkpoint of text_only are distinguishable" in text
    nothing = Comparison(
        baseline="text_only", variants=("text_only",), rows=(), cells={}, problems=()
    )
    assert overview(nothing) == "Nothing can be compared with text_only yet."
    assert caution(nothing) == ""


def test_the_caution_speaks_of_checkpoints(comparison):
    assert "between two checkpoints, not between two recipes" in caution(comparison)
