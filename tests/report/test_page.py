import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from codepretrain.config.schema import ContrastConfig
from codepretrain.report.collect import collect
from codepretrain.report.contrast_rows import print_contrasts
from codepretrain.report.page import render
from codepretrain.report.results_json import results_json
from codepretrain.report.write import content_of
from tests.report.replicated import LOSS, LOSS_METRIC, content, replicated_study


def test_the_caution_is_there_only_with_a_comparison(results, comparison):
    def has_caution(shown):
        return 'class="caution"' in render(content(results, shown))

    assert has_caution(comparison)
    assert not has_caution(replace(comparison, baseline=None, cells={}))


def with_two_losses(study, values):
    """Gives every run two losses called by the same source, with the given values."""
    for name, of in values.items():
        run = Path(study.phases[name].run_dir)
        shutil.rmtree(run / "items")
        lines = [json.loads(line) for line in (run / "evals.jsonl").read_text().splitlines()]
        (loss,) = [line for line in lines if line["evaluator"] == LOSS]
        records = []
        for evaluator, value in of.items():
            metrics = {LOSS_METRIC: {**loss["metrics"][LOSS_METRIC], "value": value}}
            records.append({**loss, "evaluator": evaluator, "metrics": metrics})
        (run / "evals.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    identity = study.evaluators[LOSS]
    return replace(study, evaluators=dict.fromkeys(("first_loss", "second_loss"), identity))


def test_a_column_of_the_pair_table_is_named_by_its_metric_and_has_its_numbers(tmp_path):
    """Two losses with one label: −0.034 was once shown as −0.017, the other one's difference."""
    study = replicated_study(tmp_path, {"base": (3.0,), "one": (3.0,), "two": (3.0,)})
    study = with_two_losses(
        study,
        {
            "base": {"first_loss": 3.0, "second_loss": 3.0},
            "one": {"first_loss": 2.9, "second_loss": 2.9},
            "two": {"first_loss": 2.866, "second_loss": 2.883},
        },
    )
    page = render(content_of(collect(study)))
    (table,) = re.findall(r'<table class="comparison pairs">(.*?)</table>', page, re.DOTALL)[:1]
    head, body = table.split("</thead>")
    headers = [
        re.sub(r"<[^>]+>", "", header).split()
        for header in re.findall(r'<th scope="col">(.*?)</th>', head, re.DOTALL)[1:]
    ]
    names = [" ".join(header) for header in headers]
    differences = re.findall(r'<span class="delta">(.*?)</span>', body)
    found = dict(zip(names, differences, strict=True))
    assert {name.split(" loss")[0]: value for name, value in found.items()} == {
        "first": "−0.034",
        "second": "−0.017",
    }
    for name, which in zip(names, ("first_loss", "second_loss"), strict=True):
        assert f"{which}: {LOSS_METRIC}" in name


def test_the_origin_of_a_contrast_has_the_values_of_its_runs(tmp_path):
    """The page once showed a method of the row in their place."""
    study = replicated_study(tmp_path, {"base": (3.0, 3.1), "one": (2.0, 2.1)})
    contrast = ContrastConfig(
        metric="quiz/accuracy", direction="different", variants=("one", "base")
    )
    content = content_of(collect(replace(study, contrasts={"main": contrast})))
    (result,) = content.contrasts
    page = render(content)
    assert "built-in method" not in page
    for arm in result.arms:
        assert ", ".join(f"{100 * value:.1f}%" for value in arm.values) in page


def test_controls_have_a_section_of_their_own_and_the_same_corrected_p(tmp_path):
    study = replicated_study(tmp_path, {"base": (3.0, 3.1), "one": (2.0, 2.1), "two": (2.9, 3.1)})
    contrasts = {
        name: ContrastConfig(metric="quiz/accuracy", direction="different", variants=(name, "base"))
        for name in ("one", "two")
    }
    marked = contrasts | {"two": replace(contrasts["two"], is_control=True)}
    plain, content = (
        content_of(collect(replace(study, contrasts=of))) for of in (contrasts, marked)
    )

    assert [c.adjusted_p for c in content.contrasts] == [c.adjusted_p for c in plain.contrasts]
    before, after = render(content).split("<h2>Controls</h2>")
    assert "<h2>Controls</h2>" not in render(plain)
    assert '<th scope="row">one\n' in before
    assert '<th scope="row">two\n' not in before
    assert '<th scope="row">two\n' in after
    assert "Controls, in a section of their\nown: two: inconclusive.</p>" in before
    assert "Controls, in a section" not in render(plain)
    numbers = results_json(content)
    assert numbers["controls"] == ["two"]
    assert [one["is_control"] for one in numbers["contrasts"]] == [False, True]
    printed = io.StringIO()
    print_contrasts(Console(file=printed, width=100), content.contrasts, width=100)
    registered, controls = printed.getvalue().split("\ncontrols\n")
    assert "one: " in registered
    assert "two: " in controls
    assert "for 2 (recipes" in " ".join(registered.split())
