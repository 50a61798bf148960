"""Writes a report of several studies: one page and an index, beside the files of each study."""

import hashlib
from collections.abc import Mapping, Sequence

from etils import epath
from rich.console import Console
from rich.text import Text

from codepretrain.errors import UserError
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.files import storage
from codepretrain.files.atomic import write_json, write_text
from codepretrain.files.json_values import plain
from codepretrain.report.collect import ReportInput, StudyResults, collect
from codepretrain.report.contrast_answers import lead as contrast_lead
from codepretrain.report.contrast_rows import print_contrasts
from codepretrain.report.findings import overview
from codepretrain.report.item_csv import write_items
from codepretrain.report.latex_text import document
from codepretrain.report.page import study_parts
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.terminal import MAX_WIDTH, print_cautions, print_problems
from codepretrain.report.together import Together, bring_together
from codepretrain.report.together_page import (
    cost_lines,
    lead,
    render_together,
    same_contrast_lines,
    variant_lines,
)
from codepretrain.report.together_sections import NO_SECTIONS, Section, sections_of
from codepretrain.report.write import check_trained, content_of, print_page, write_study

FORMAT = 1  # of the index; increase it when a field is renamed, removed, or changes its meaning
_MAX_FOLDER = 200  # characters of a folder's name


def write_together(
    specs: Sequence[ReportInput],
    reports: storage.StrPath,
    *,
    console: Console | None = None,
    has_items: bool = False,
) -> epath.Path:
    """Writes the report of several studies of one working directory, and returns its page.

    The files of each study are in a folder of its name, as if it were reported alone; of a study
    that was not trained there are none. The page and the index, `results.json`, are in a folder of
    all names.

    Raises:
      UserError: no phase of any study was trained; nothing is written. Or item scores that
        `has_items` asks for are lost; everything else is written and printed.
    """

    def say(text: str) -> None:  # a report of many runs takes minutes
        if console is not None:
            console.print(Text(text, style="dim"), soft_wrap=True)

    found = [collect(spec) for spec in specs]
    untrained = {one.spec.study: why for one in found if (why := _untrained(one))}
    if len(untrained) == len(found):
        raise UserError(next(iter(untrained.values())))
    reader = ScoreReader()  # one of all studies: shared runs are read once
    contents, parts = {}, {}
    for place, one in enumerate(found, start=1):
        study = one.spec.study
        say(f"{study}: {len(one.runs)} runs, study {place} of {len(found)}")
        contents[study] = content_of(one, reader)
        parts[study] = study_parts(contents[study])
    together = bring_together(list(contents.values()))
    folder = epath.Path(reports)
    for study, why in untrained.items():
        parts[study].values["problems"].insert(0, why)
    for study, content in contents.items():
        if study not in untrained:
            write_study(content, parts[study], folder / study)
    say("all studies together")
    with EvaluationProgress(console, "ladder") as progress:
        sections = sections_of(together, progress)
    joined = folder / folder_name(list(contents))
    if tables := [section.latex for section in sections.values() if section.latex]:
        write_text(
            joined / "tables.tex", document(f"studies {folder_name(list(contents))}", tables)
        )
    write_json(joined / "results.json", _index(together, sections, untrained=list(untrained)))
    page = joined / "index.html"
    html = [section.html for section in sections.values()]
    write_text(page, render_together(together, parts, html))
    if console is not None:
        print_together(console, together, sections)
        print_page(console, page)
    if has_items:
        trained = {study: one for study, one in contents.items() if study not in untrained}
        write_items([(one, folder / study) for study, one in trained.items()], console)
    return page


def folder_name(studies: Sequence[str]) -> str:
    """Returns the name of the folder of a report of several studies.

    >>> folder_name(["proportion", "recipes"])
    'proportion+recipes'
    """
    joined = "+".join(studies)
    if len(joined) <= _MAX_FOLDER:
        return joined
    digest = hashlib.sha256(joined.encode()).hexdigest()[:12]
    return f"{studies[0]}+{len(studies) - 1}-others-{digest}"


def print_together(
    console: Console, together: Together, sections: Mapping[str, Section] = NO_SECTIONS
) -> None:
    """Prints what each study found, what they say together, what they share, and their costs."""
    width = min(MAX_WIDTH, console.width)
    for study, content in together.contents.items():
        console.print(Text(f"\n{study}", style="bold"))
        console.print(Text(_overview(together, study)), width=width)
        print_cautions(console, content.results, content.contrasts, width=width)
        print_contrasts(console, content.contrasts, width=width)
        print_problems(console, content.results, content.comparison)
    for section in sections.values():
        section.show(console, width)
    console.print(Text("\ntogether", style="bold"))
    lines = [lead(together), *variant_lines(together), *same_contrast_lines(together)]
    for line in [*lines, *cost_lines(together)]:
        console.print(Text(line), soft_wrap=True)


def _overview(together: Together, study: str) -> str:
    content = together.contents[study]
    contrasts = content.contrasts
    return contrast_lead(contrasts) if contrasts else overview(content.comparison)


def _untrained(results: StudyResults) -> str:
    """Returns why there is no report of a study, "" if there is one."""
    try:
        check_trained(results)
    except UserError as error:
        return str(error)
    return ""


def _index(
    together: Together, sections: dict[str, Section], *, untrained: Sequence[str]
) -> dict[str, object]:
    value = {
        "format": FORMAT,
        "written_at": next(iter(together.contents.values())).written_at,
        "command": together.runs.spec.command,
        "studies": {
            study: {
                "results": None if study in untrained else f"../{study}/results.json",
                "overview": _overview(together, study),
                "contrasts": {one.name: one.decision for one in content.contrasts},
            }
            for study, content in together.contents.items()
        },
        **together.to_json(),
        "sections": {name: section.numbers for name, section in sections.items()},
    }
    found: dict[str, object] = plain(value)
    return found
