"""Several studies in one report: shared runs are there once, names alone mean nothing."""

import dataclasses
import io
import json
import shutil
from pathlib import Path

import pytest
from markupsafe import Markup
from rich.console import Console

from codepretrain.config.schema import ContrastConfig
from codepretrain.errors import UserError
from codepretrain.evals.progress import Progress
from codepretrain.report import write_together as writer
from codepretrain.report.collect import ReportInput, collect
from codepretrain.report.together import Together, bring_together
from codepretrain.report.together_page import _some, problems, variant_lines
from codepretrain.report.together_sections import Section
from codepretrain.report.write import content_of, write_report
from codepretrain.report.write_together import folder_name, write_together
from tests.report.replicated import LOSS, LOSS_METRIC, STEP, replicated_study
from tests.report.test_write import check

LOSS_OF = f"{LOSS}/{LOSS_METRIC}"


def contrast(*variants: str) -> ContrastConfig:
    return ContrastConfig(metric=LOSS_OF, direction="lower", variants=(variants[0], variants[1]))


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReportInput, ReportInput]:
    """Two studies of six runs: `text` is shared, `code` is another recipe in each of them."""
    root = tmp_path_factory.mktemp("work")
    levels = {"text": (3.0, 3.1), "code": (2.5, 2.6), "more_code": (2.2, 2.3)}
    every = replicated_study(root, levels)
    first = dataclasses.replace(
        every,
        study="first",
        variants={name: every.variants[name] for name in ("text", "code")},
        replicates={name: every.replicates[name] for name in ("text", "code")},
        phases={n: p for n, p in every.phases.items() if not n.startswith("more")},
        contrasts={"code_helps": contrast("code", "text")},
        num_parameters=1_000,
    )
    # Its phase `base` is the first study's `text`, its variant `code` the runs of `more_code`.
    phases = {n: every.phases[n] for n in ("more_code", "more_code-r1")}
    phases |= {"base": every.phases["text"], "base-r1": every.phases["text-r1"]}
    second = dataclasses.replace(
        every,
        study="second",
        baseline="text",
        variants={"text": ("base",), "code": ("more_code",), "again": ("base",)},
        replicates={
            "text": (("base",), ("base-r1",)),
            "code": (("more_code",), ("more_code-r1",)),
            "again": (("base",), ("base-r1",)),
        },
        phases=phases,
        contrasts={"code_helps": contrast("code", "text")},
    )
    return first, second


@pytest.fixture(scope="module")
def together(specs: tuple[ReportInput, ReportInput]) -> Together:
    return bring_together([content_of(collect(spec)) for spec in specs])


def test_a_shared_run_is_there_once_under_one_name(together: Together) -> None:
    assert list(together.runs.runs) == [
        *("text", "text-r1", "first/code", "first/code-r1"),
        *("second/more_code", "second/more_code-r1"),
    ]
    assert [dict(names) for names in together.shared.values()] == [
        {"first": "text", "second": "base"},
        {"first": "text-r1", "second": "base-r1"},
    ]


def test_costs_count_shared_runs_once(together: Together) -> None:
    assert together.costs["first"].tokens == together.costs["second"].tokens == 4 * STEP
    assert together.new_costs["first"].tokens == 4 * STEP
    assert together.new_costs["second"].tokens == 2 * STEP
    assert together.total.tokens == together.total.trained_tokens == 6 * STEP


def test_names_of_variants_say_nothing_outside_their_study(together: Together) -> None:
    assert {one.variant: one.relation for one in together.same_names} == {
        "text": "same runs",
        "code": "other runs",
    }
    assert variant_lines(together) == [
        "variants that are the same runs in each study: text",
        "variants that are other runs in each study, by the same name: code",
    ]
    # Contrasts of one name that are of other runs are two.
    assert together.same_contrasts == ()


def test_a_contrast_of_the_same_runs_is_one_finding(
    specs: tuple[ReportInput, ReportInput],
) -> None:
    first = specs[0]
    other = dataclasses.replace(
        first,
        study="other",
        contrasts={
            "by_another_name": contrast("code", "text"),
            "the_other_way": contrast("text", "code"),
        },
    )
    together = bring_together([content_of(collect(spec)) for spec in (first, other)])
    assert together.same_contrasts == ([("first", "code_helps"), ("other", "by_another_name")],)


def test_variants_that_share_some_runs_say_so(specs: tuple[ReportInput, ReportInput]) -> None:
    first = specs[0]
    fewer = dataclasses.replace(
        first, study="fewer", replicates={**first.replicates, "code": (("code",),)}
    )
    together = bring_together([content_of(collect(spec)) for spec in (first, fewer)])
    assert {one.variant: one.relation for one in together.same_names} == {
        "text": "same runs",
        "code": "some of the same runs",
    }


def test_phases_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two phases `trunk` that are not one run: `study/phase` is their name among all."""
    studies = []
    for study in ("one", "two", "three"):
        spec = replicated_study(tmp_path / study, {"trunk": (3.0,)})
        phase = dataclasses.replace(spec.phases["trunk"], fingerprint=study)
        studies.append(dataclasses.replace(spec, study=study, phases={"trunk": phase}))
    shared = dataclasses.replace(studies[0], study="four")
    together = bring_together([content_of(collect(spec)) for spec in (*studies, shared)])
    assert list(together.runs.runs) == ["trunk", "two/trunk", "three/trunk"]
    assert together.phases["one"] == {"one": "trunk", "four": "trunk"}


def test_the_page_has_an_overview_and_every_study(
    specs: tuple[ReportInput, ReportInput], tmp_path: Path
) -> None:
    console = Console(record=True, width=100)
    page = write_together(specs, tmp_path, console=console)
    assert page == tmp_path / "first+second" / "index.html"
    checker = check(Path(page))
    assert all(link.startswith("#") for link in checker.links)
    assert len(checker.ids) == len(set(checker.ids))
    assert {link[1:] for link in checker.links} <= set(checker.ids)
    text = " ".join("".join(checker.text).split())
    assert "2 studies of 6 runs, 2 of them shared: each is here once" in text
    assert text.count("Registered contrasts Hypotheses") == 2
    assert text.count("All runs") == text.count("Starts from") == 1
    printed = console.export_text()
    assert "second: 80 tokens, 40 of them not in studies above" in printed
    assert "together: 120 tokens" in printed
    index = json.loads((page.parent / "results.json").read_text())
    assert index["studies"]["second"]["contrasts"] == {"code_helps": "confirmed"}
    assert [one["names"] for one in index["shared"]] == [
        {"first": "text", "second": "base"},
        {"first": "text-r1", "second": "base-r1"},
    ]
    for study, spec in zip(("first", "second"), specs, strict=True):
        alone = write_report(spec, tmp_path / "alone" / study).parent / "results.json"
        found = (page.parent / index["studies"][study]["results"]).resolve()
        of_both = json.loads(found.read_text())
        expected = json.loads(alone.read_text())
        assert {**of_both, "written_at": ""} == {**expected, "written_at": ""}


def test_families_are_those_of_each_study(specs: tuple[ReportInput, ReportInput]) -> None:
    """A family of one contrast in each of two studies is not a family of two."""
    contents = [content_of(collect(spec)) for spec in specs]
    for content in contents:
        (one,) = content.contrasts
        assert one.adjusted_p == one.p_value


def test_a_study_that_is_not_trained_is_named(
    specs: tuple[ReportInput, ReportInput], tmp_path: Path
) -> None:
    first, second = specs
    absent = {
        name: dataclasses.replace(plan, run_dir=str(tmp_path / "runs" / name), fingerprint="x")
        for name, plan in second.phases.items()
    }
    missing = dataclasses.replace(second, phases=absent)
    page = write_together((first, missing), tmp_path)
    text = " ".join("".join(check(Path(page)).text).split())
    assert "second: no phase of the study 'second' was trained in" in text
    assert not (tmp_path / "second").exists()
    index = json.loads((page.parent / "results.json").read_text())
    assert index["studies"]["second"]["results"] is None
    shutil.rmtree(tmp_path / "first+second")
    other = dataclasses.replace(missing, study="third")
    with pytest.raises(UserError, match="no phase of the study 'second' was trained"):
        write_together((missing, other), tmp_path)
    assert not (tmp_path / "second+third").exists()


def test_a_section_over_several_studies_is_on_the_page_and_in_the_index(
    specs: tuple[ReportInput, ReportInput], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def section(together: Together) -> Section:
        return Section(
            html=Markup("<section><h2>Of all</h2></section>"),
            numbers=list(together.contents),
            latex="% of all",
            show=lambda console, width: console.print(f"of all at {width}"),
        )

    def sections_of(together: Together, progress: Progress) -> dict[str, Section]:
        progress(1, 1, "sections")
        return {"of_all": section(together)}

    monkeypatch.setattr(writer, "sections_of", sections_of)
    file = io.StringIO()
    page = write_together(specs, tmp_path, console=Console(file=file, width=90))
    assert "of all at 90" in file.getvalue()
    assert (page.parent / "tables.tex").read_text().endswith("% of all\n")
    assert page.read_text().count("<h2>Of all</h2>") == 1
    index = json.loads((page.parent / "results.json").read_text())
    assert index["sections"] == {"of_all": ["first", "second"]}


def test_a_problem_is_there_once_with_its_studies() -> None:
    found = problems({"a": ["one", "two"], "b": ["one", "three"]})
    assert found == ["one", "a: two", "b: three"]


def test_folders_of_many_studies_have_names_that_a_file_system_takes() -> None:
    names = [f"{'x' * 60}{i}" for i in range(9)]
    assert folder_name(names[:2]) == "+".join(names[:2])
    assert len(folder_name(names)) < 100
    assert folder_name(names) != folder_name(names[::-1])


def test_of_many_names_the_first_are_listed() -> None:
    assert _some(list("abc")) == "a, b and c"
    assert _some(list("abcdefghij")) == "a, b, c, d, e and 5 others"
