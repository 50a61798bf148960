import io
import re
from dataclasses import replace

from rich.console import Console

from codepretrain.config.schema import ContrastConfig
from codepretrain.report.collect import collect
from codepretrain.report.compare import Comparison
from codepretrain.report.findings import caution, findings, interim, overview
from codepretrain.report.write import write_report
from tests.report.replicated import LOSS, LOSS_METRIC, replicated_study


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


def test_decisions_of_an_unfinished_study_are_called_interim(tmp_path):
    levels = {"plain": (3.0, 3.02, 2.97, 3.01), "coded": (2.5, 2.55, 2.52, 2.51)}
    whole = replace(
        replicated_study(tmp_path, levels),
        contrasts={
            "helps": ContrastConfig(
                metric=f"{LOSS}/{LOSS_METRIC}", direction="lower", variants=("coded", "plain")
            )
        },
    )
    longer = replace(whole.phases["plain-r3"], steps=40)  # its run is at step 20
    unfinished = replace(whole, phases={**whole.phases, "plain-r3": longer})
    warning = "The study is not finished: 1 of 2 variants are complete. Decisions are interim"
    for study, is_interim in ((whole, False), (unfinished, True)):
        file = io.StringIO()
        console = Console(file=file, width=500)
        page = write_report(study, tmp_path / "report", console=console).read_text()
        assert (warning in page) == is_interim
        assert (warning in file.getvalue()) == is_interim
        assert "confirmed" in page
    assert re.search(r"baseline,\s+3 of 4 replicates", page)
    nothing_decided = collect(replace(unfinished, contrasts={}))
    assert not interim(nothing_decided, ())
