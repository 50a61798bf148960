import io
import json
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.config.schema import AveragesConfig
from codepretrain.errors import UserError
from codepretrain.files import json_values, storage
from codepretrain.report import accounts
from codepretrain.report.collect import collect
from codepretrain.report.write import write_report

VOID = {"meta", "br", "link", "img", "hr", "input", "wbr"}


class Checker(HTMLParser):
    """Fails on tags that do not match; collects attributes that could reach the network."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        attributes = dict(attrs)
        self.links += [v for k, v in attributes.items() if k in ("src", "href", "xlink:href")]
        self.ids += [attributes["id"]] if "id" in attributes else []
        assert tag not in ("script", "link", "img", "iframe"), tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


def check(page):
    checker = Checker()
    checker.feed(page.read_text(encoding="utf-8"))
    assert checker.open == []
    return checker


def claims_about_recipes(text):
    """Returns the words of a text that judge recipes; metrics have a direction of their own."""
    left = re.sub(r"(higher|lower) is better", "", text)
    return re.findall(r"\b(?:better|worse|recipes?, \d|in favor)\b", left)


@pytest.fixture(scope="module")
def page(study, tmp_path_factory):
    return write_report(study, tmp_path_factory.mktemp("report") / "new" / "folder")


def test_the_page_is_whole_and_reaches_for_nothing_outside_itself(page):
    checker = check(page)
    assert all(link.startswith("#") for link in checker.links)
    assert len(checker.ids) == len(set(checker.ids))
    assert {link[1:] for link in checker.links} <= set(checker.ids)
    text = page.read_text()
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]+"', "", text)


def test_rules_for_narrow_screens_do_not_hold_on_paper(page):
    """A sheet is as narrow as a phone is wide: they cut the last columns of wide tables."""
    rules = re.findall(r"@media[^{]*width[^{]*", page.read_text())
    assert rules
    assert all("screen" in rule for rule in rules)


def test_the_page_answers_and_tells_where_each_number_is_from(page, study):
    text = " ".join("".join(check(page).text).split())
    assert "code_to_text against text_only (two checkpoints): ahead on" in text
    assert "not distinguishable on prose continuation (" in text
    assert text.count("every comparison is between two checkpoints") == 2
    assert "lower (two checkpoints)" in text
    assert not claims_about_recipes(text)
    for expected in (
        *(plan.run_dir for plan in study.phases.values()),
        *(plan.fingerprint for plan in study.phases.values()),
        study.command,
        study.code_version,
        "7f" * 32,
        "1.9M (0.8M without embeddings)",
    ):
        assert expected in text


def test_the_figures_are_well_formed_and_take_their_colors_from_the_page(page):
    figures = re.findall(r'<div class="canvas">(<svg.*?</svg>)', page.read_text(), re.DOTALL)
    assert len(figures) == 2 + 1 + 5  # differences and losses, trunks, paths
    for figure in figures:
        ElementTree.fromstring(figure)
        assert "#1c1c1e" not in figure
        assert "var(--ink)" in figure
        assert "DejaVu" not in figure


def test_results_json_has_every_number_and_no_nan(page, study):
    def refuse(constant):
        raise AssertionError(constant)

    values = json.loads((page.parent / "results.json").read_text(), parse_constant=refuse)
    cells = {(c["variant"], c["name"]): c for c in values["comparison"]["cells"]}
    cell = cells["code_to_text", "source/code/nats_per_token"]
    assert cell["difference"]["interval"]["high"] < 0
    assert (cell["verdict"], cell["outcome"], cell["runs"]) == (
        "lower",
        "favorable",
        ["code_continue"],
    )
    assert {c["between"] for c in cells.values()} == {None, "two checkpoints"}
    assert set(values["phases"]) == set(study.phases)
    assert values["phases"]["code_init"]["num_skipped"] == 2
    assert values["manifests"]["code"]["train"]["num_rows"] == 5_200
    assert len(values["pairs"]) == 6
    assert values["study"]["variants"]["text_only"] == ["text_pretrain"]
    assert values["curves"]["text_only"]["training/loss"][0][0] == 2048


def test_writing_again_gives_the_same_page(page, study, tmp_path):
    again = write_report(study, tmp_path).read_text()
    dated = r"\d{4}-\d\d-\d\d \d\d:\d\d UTC"
    assert re.sub(dated, "", again) == re.sub(dated, "", page.read_text())


def test_an_unfinished_study_has_a_page_too(unfinished_study, tmp_path):
    text = " ".join("".join(check(write_report(unfinished_study, tmp_path)).text).split())
    assert "3 of 5 complete" in text
    assert "cooldown_text is not compared: its last phase is at step 35 of 60." in text
    assert "cooldown_with_code is not compared: its last phase is missing." in text
    assert "not measured" in text


def test_a_study_of_which_nothing_was_trained_is_an_error_and_writes_nothing(study, tmp_path):
    plans = {n: replace(p, run_dir=str(tmp_path / "runs" / n)) for n, p in study.phases.items()}
    nothing = replace(study, phases=plans)
    with pytest.raises(UserError) as error:
        write_report(nothing, tmp_path / "report")
    assert str(error.value) == (
        f"no phase of the study 'demo' was trained in {tmp_path / 'runs'}: run `codepretrain run` "
        "with the same --config and --workdir first, or give the --workdir of its runs"
    )
    assert not (tmp_path / "report").exists()


def test_a_study_whose_only_runs_are_damaged_names_the_damage(study, tmp_path):
    plans = {n: replace(p, run_dir=str(tmp_path / n)) for n, p in study.phases.items()}
    (tmp_path / "code_init").mkdir()
    (tmp_path / "code_init" / "metrics.jsonl").write_text("{}}\n")
    with pytest.raises(UserError, match=r"no run .* can be read; .*metrics\.jsonl line 1"):
        write_report(replace(study, phases=plans), tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_runs_of_phases_that_are_unknown_without_their_data_are_not_called_untrained(
    study, tmp_path
):
    plans = {
        name: replace(plan, run_dir=str(tmp_path / "runs" / name), fingerprint_is_provisional=True)
        for name, plan in study.phases.items()
    }
    (tmp_path / "runs" / "trunk-of-another-name").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no run .* can be read; .*its data is not prepared in"):
        write_report(replace(study, phases=plans), tmp_path / "report")


def test_a_report_is_written_to_an_object_store(study):
    page = write_report(study, "memory://report-test/reports/demo")
    assert str(page) == "memory://report-test/reports/demo/index.html"
    assert "<h1>demo</h1>" in storage.read_text(page)
    assert storage.read_json(page.parent / "results.json")["study"]["study"] == "demo"


def test_a_study_without_a_baseline_has_a_page_too(study, tmp_path):
    text = "".join(check(write_report(replace(study, baseline=None), tmp_path)).text)
    assert "The study names no baseline, so its variants are listed without comparison." in text


def test_what_could_not_be_read_is_on_the_page(copied_study, tmp_path):
    path = tmp_path / "study" / "rows" / "code" / "train" / "manifest.json"
    path.write_text("{")
    shutil.rmtree(tmp_path / "study" / "runs" / "text_pretrain-746578745f70" / "items")
    text = "".join(check(write_report(copied_study, tmp_path / "report")).text)
    assert "marked unpaired under Provenance" in " ".join(text.split())
    assert "Problems" in text
    assert "damaged" in text
    assert "manifest.json" in text


def test_names_from_outside_cannot_break_the_page(study, tmp_path):
    hostile = replace(study, study="<b>&", command="run '<script>alert(1)</script>'")
    page = write_report(hostile, tmp_path)
    check(page)
    assert "&lt;script&gt;" in page.read_text()


def test_sixteen_variants_have_a_page(study, tmp_path):
    paths = list(study.variants.values())
    many = {"text_only": paths[0]} | {f"variant_{i}": paths[i % 5] for i in range(1, 16)}
    checker = check(write_report(replace(study, variants=many), tmp_path))
    assert "variant_14 against text_only" in " ".join("".join(checker.text).split())


def test_a_diverged_variant_has_a_page(copied_study, tmp_path):
    """Losses that are not finite, and a single item: intervals without ends."""
    run = Path(copied_study.phases["code_continue"].run_dir)
    for name in ("evals.jsonl", "metrics.jsonl"):
        records = [json_values.decode(line) for line in (run / name).read_text().splitlines()]
        for record in records[-30:]:
            record["loss"] = math.inf
            for metric in record.get("metrics", {}).values():
                metric |= {"value": math.nan, "standard_error": math.nan}
        (run / name).write_text("".join(json_values.encode(r) + "\n" for r in records))
    shutil.rmtree(run / "items")
    page = write_report(copied_study, tmp_path / "report").read_text()
    assert "unknown" in page
    assert "NaN" in page
    row = next(
        r for r in accounts.phase_rows(collect(copied_study)) if r["name"] == "code_continue"
    )
    assert row["loss"] == "∞"


AVERAGES = AveragesConfig(
    categories={
        "language": ("prose_continuation/accuracy",),
        "code": ("code_continuation/accuracy", "python_expression/accuracy"),
    },
    totals={"total": ("language", "code")},
    excluded=("python_expression/accuracy",),
)


def test_averages_are_on_the_page_in_the_terminal_and_in_the_numbers(study, tmp_path):
    file = io.StringIO()
    page = write_report(
        replace(study, averages=AVERAGES), tmp_path, console=Console(file=file, width=100)
    )
    text = " ".join("".join(check(page).text).split())
    section = text[text.index("Averages Each variant was trained once") :]
    assert "total: the mean of language, code." in section
    assert "Left out, of every variant: python_expression/accuracy." in section
    assert "unfiltered code" in section
    assert "unfiltered code: average" not in section
    assert "left out of all averages: python_expression/accuracy" in file.getvalue()
    numbers = json_values.decode((tmp_path / "results.json").read_text())
    assert numbers["study"]["averages"]["excluded"] == ["python_expression/accuracy"]
    cells = {
        (cell["evaluator"], cell["variant"]): cell
        for cell in numbers["averages"]["comparison"]["cells"]
    }
    language, code, total = (
        cells[name, "code_to_text"]["metric"]["value"] for name in ("language", "code", "total")
    )
    assert total == pytest.approx((language + code) / 2)
    assert f"{100 * total:.1f}%" in section
    assert cells["total", "code_to_text"]["difference"]["is_paired"]
    steps = [one["step"] for one in numbers["averages"]["phases"]["text_pretrain"]]
    assert sorted(set(steps)) == list(range(0, 401, 25))
    assert numbers["averages"]["missing"] == []


def test_an_average_that_is_not_there_is_told_with_its_reason(unfinished_study, tmp_path):
    averages = replace(AVERAGES, categories={**AVERAGES.categories, "other": ("exam/accuracy",)})
    file = io.StringIO()
    page = write_report(
        replace(unfinished_study, averages=averages),
        tmp_path,
        console=Console(file=file, width=100),
    )
    text = " ".join("".join(check(page).text).split())
    for found in (text, file.getvalue()):
        assert "text_pretrain, step 400: no average of other: exam has no result" in found
        assert "cooldown_text, step 60: no average of language, code" in found
    numbers = json_values.decode((tmp_path / "results.json").read_text())
    (one,) = [
        one
        for one in numbers["averages"]["missing"]
        if (one["phase"], one["step"]) == ("text_pretrain", 400)
    ]
    assert (one["average"], one["reasons"]) == ("other", ["exam has no result"])


def test_a_study_without_averages_has_no_section_of_them(page):
    assert "<h2>Averages</h2>" not in page.read_text()
    assert json_values.decode((page.parent / "results.json").read_text())["averages"] is None
