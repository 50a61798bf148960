"""Writes a study's report: `index.html`, `results.json`, `tables.tex`, and `items/*.csv`."""

import dataclasses
from datetime import UTC, datetime

from etils import epath
from rich.console import Console

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_json, write_text
from codepretrain.report.answer_table import print_answer_table, table_of
from codepretrain.report.averaged import compare_averages
from codepretrain.report.best_rows import print_best
from codepretrain.report.collect import ReportInput, StudyResults, collect
from codepretrain.report.compare import compare_pairs, compare_to_baseline
from codepretrain.report.content import Content
from codepretrain.report.contrast_answers import print_answers
from codepretrain.report.contrast_rows import print_contrasts
from codepretrain.report.contrasts import decide_contrasts
from codepretrain.report.item_csv import write_items
from codepretrain.report.judged import read_judged
from codepretrain.report.latex import latex_tables
from codepretrain.report.page import StudyParts, render, study_parts
from codepretrain.report.published import beside_published
from codepretrain.report.results_json import results_json
from codepretrain.report.score_reader import ScoreReader
from codepretrain.report.section_terminal import print_pareto, print_trunks
from codepretrain.report.sections import sections_of
from codepretrain.report.terminal import MAX_WIDTH, print_averages, print_cautions, print_comparison
from codepretrain.report.unevaluated import unevaluated


def write_report(
    spec: ReportInput,
    out_dir: storage.StrPath,
    *,
    console: Console | None = None,
    has_items: bool = False,
    reload_s: int | None = None,
) -> epath.Path:
    """Writes the page and returns its path.

    Phases that are missing or unfinished are shown as such. Every file is replaced atomically.

    Args:
      console: gets the table and where the files are; None prints nothing.
      has_items: whether the scores of all items are written too, which may be large.
      reload_s: seconds after which the page reloads itself, for a study that is running.

    Raises:
      UserError: no phase of the study was trained; nothing is written. Or item scores that
        `has_items` asks for are lost; everything else is written and printed.
    """
    results = collect(spec)
    check_trained(results)
    content = content_of(results)
    page = write_study(content, study_parts(content), out_dir, reload_s=reload_s)
    if console is not None:
        print_comparison(console, content.results, content.comparison)
        print_averages(console, content.averages)
        width = min(MAX_WIDTH, console.width)
        print_cautions(console, content.results, content.contrasts, width=width)
        print_answer_table(console, table_of(content), width=width)
        print_answers(console, content.contrasts, width=width)
        print_contrasts(console, content.contrasts, width=width)
        print_best(console, content.sections.best, width=width)
        print_trunks(console, content.sections.trunks, width=width)
        print_pareto(console, content.sections.pareto, width=width)
        print_page(console, page)
    if has_items:
        write_items([(content, page.parent)], console)
    return page


def write_study(
    content: Content,
    parts: StudyParts,
    out_dir: storage.StrPath,
    *,
    reload_s: int | None = None,
) -> epath.Path:
    """Writes the files of a study's report but the item scores, and returns the page's path."""
    folder = epath.Path(out_dir)
    write_json(folder / "results.json", results_json(content))
    page = folder / "index.html"
    write_text(page, render(content, parts=parts, reload_s=reload_s))
    write_text(folder / "tables.tex", latex_tables(content))
    return page


def print_page(console: Console, page: epath.Path) -> None:
    console.print(f"report: {page}", soft_wrap=True, markup=False)


def content_of(results: StudyResults, reader: ScoreReader | None = None) -> Content:
    """Returns everything that a study's report shows.

    Args:
      reader: of item scores; None for a new one.
    """
    problems: list[str] = []
    reader = reader or ScoreReader()
    averages = compare_averages(results, reader)
    contrasts = decide_contrasts(results, averages, problems, read=reader.of)
    comparison = compare_to_baseline(results, read=reader.of)
    sections = sections_of(results, comparison, averages, problems, read=reader.of)
    problems = [*results.problems, *unevaluated(results), *problems]
    if averages is not None:
        averages = averages.without_problems([*problems, *comparison.problems])
    return Content(
        results=dataclasses.replace(results, problems=tuple(problems)),
        comparison=comparison,
        pairs=compare_pairs(results, read=reader.of),
        written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        judged=read_judged(results),
        averages=averages,
        contrasts=contrasts,
        published=beside_published(results, averages),
        sections=sections,
        reader=reader,
    )


def check_trained(results: StudyResults) -> None:
    """Raises UserError if no phase of the study was trained, or no run can be read."""
    runs = results.runs.values()
    if any(run.status != "missing" for run in runs):
        return
    folders = epath.Path(next(iter(runs)).plan.run_dir).parent
    problems = [problem for run in runs for problem in run.problems]
    if storage.names(folders):  # runs whose phases are not known without the data
        problems += results.problems
    if problems:
        raise UserError(
            f"no run of the study {results.spec.study!r} can be read; the first problem: "
            f"{problems[0]}"
        )
    raise UserError(
        f"no phase of the study {results.spec.study!r} was trained in {folders}: run `codepretrain "
        "run` with the same --config and --workdir first, or give the --workdir of its runs"
    )
