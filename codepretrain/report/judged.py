"""The judged comparisons of a study: those of its runs as they are now, for the page and for JSON.

A comparison is shown only if both of its checkpoints are the last ones of their variants, of the
same replicate, by fingerprint, step and the digest of the evaluation that recorded the completions.
Otherwise it is of an earlier run or of other prompts, and a problem says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.judge.result import JudgeResult
from codepretrain.files import storage
from codepretrain.report.collect import StudyResults
from codepretrain.report.judge_agreement import JudgeAgreement, judge_agreements
from codepretrain.report.win_rate_recipes import JudgedComparison, comparisons
from codepretrain.report.win_rate_rows import Row, difference_text, rate_text, rows, summary


@dataclass(frozen=True)
class CategoryRow:
    """One category of prompts of one comparison, as text."""

    category: str
    num_prompts: str
    win: str
    tie: str
    loss: str
    difference: str


@dataclass(frozen=True, kw_only=True)
class JudgedTable:
    """The comparisons by one judge of one evaluation.

    Attributes:
      judge: what it is, as (name, value) for the reader.
      compared: pairs of variants, with all their judged replicates.
      categories: per row, its strata; empty if there is only one category.
    """

    evaluator: str
    judge: tuple[tuple[str, str], ...]
    is_local: bool
    compared: Sequence[JudgedComparison]
    rows: Sequence[Row]
    categories: Sequence[Sequence[CategoryRow]]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What is shown, and why something is not. agreements: of judges with each other."""

    tables: Sequence[JudgedTable] = ()
    agreements: Sequence[JudgeAgreement] = ()
    problems: Sequence[str] = ()

    def to_json(self) -> list[dict[str, Any]]:
        """Returns the comparisons without their single judgments, which their files have.

        Each has the fields of its first replicate, and `replicates` those of all.
        """
        return [
            {
                **_without_judgments(compared.results[0]),
                "between": compared.between.text,
                "survives_holm": row.survives_holm,
                "summary": summary(compared),
                "replicates": [
                    {**_without_judgments(one), "summary": summary(JudgedComparison((one,)))}
                    for one in compared.results
                ],
            }
            for table in self.tables
            for compared, row in zip(table.compared, table.rows, strict=True)
        ]


NOTHING_JUDGED = Judged()


def _without_judgments(result: JudgeResult) -> dict[str, Any]:
    return {k: v for k, v in result.to_json().items() if k != "judgments"}


def read_judged(results: StudyResults) -> Judged:
    """Reads the judged comparisons in the working directory of the study's runs."""
    runs = epath.Path(next(iter(results.runs.values())).plan.run_dir).parent
    problems: list[str] = []
    grouped: dict[tuple[str, str], list[JudgeResult]] = {}
    for path in _paths(runs.parent / "judge", results.spec.study):
        try:
            result = JudgeResult.from_json(storage.read_json(path))
            stale = _stale(result, results)
        except (UserError, ValueError) as error:
            text = str(error)
            problems.append(text if str(path) in text else f"{path}: {text}")
            continue
        if stale:
            problems.append(f"{path}: {stale}: run `codepretrain judge` again, or delete the file")
        else:
            grouped.setdefault((path.parent.parent.name, result.evaluator), []).append(result)
    by_judge: dict[str, list[JudgeResult]] = {}
    for (judge, _), group in grouped.items():
        by_judge.setdefault(judge, []).extend(group)
    return Judged(
        tables=[_table(group) for group in grouped.values()],
        agreements=judge_agreements(by_judge),
        problems=problems,
    )


def _paths(folder: epath.Path, study: str) -> list[epath.Path]:
    found = []
    for judge in sorted(storage.names(folder)):
        place = folder / judge / study
        found += [place / name for name in sorted(storage.names(place)) if name.endswith(".json")]
    return found


def _stale(result: JudgeResult, results: StudyResults) -> str | None:
    """Returns why a comparison is not one of the study's runs as they are now."""
    for side in (result.variant, result.reference):
        variant = side["variant"]
        if variant not in results.spec.variants:
            return f"the study has no variant {variant!r}"
        replicates = results.replicates(variant)
        if result.replicate >= len(replicates):
            return f"variant {variant!r} has {len(replicates)} replicates, and this is of another"
        run = replicates[result.replicate][-1]
        evaluation = run.at_end(result.evaluator)
        if (run.plan.fingerprint, run.plan.steps) != (side["fingerprint"], side["step"]):
            return f"variant {variant!r} was judged at another checkpoint than its present end"
        if evaluation is None or evaluation.digest != side["digest"]:
            return f"variant {variant!r} was judged by another evaluation than the recorded one"
    return None


def _table(results: Sequence[JudgeResult]) -> JudgedTable:
    judge = results[0].judge
    compared = comparisons(results)
    return JudgedTable(
        evaluator=results[0].evaluator,
        judge=tuple(_facts(judge)),
        is_local=judge["kind"] == "local",
        compared=compared,
        rows=rows(compared),
        categories=[_categories(one) for one in compared],
    )


def _facts(judge: Mapping[str, Any]) -> list[tuple[str, str]]:
    names = ("model", "endpoint", "prompt_version", "temperature", "seed")
    facts = [(name.replace("_", " "), str(judge[name])) for name in names if name in judge]
    for name in ("fingerprint", "weights_sha256"):
        if name in judge:
            facts.append((name.replace("_", " "), str(judge[name])[:12]))
    return facts


def _categories(compared: JudgedComparison) -> list[CategoryRow]:
    rates = {category: compared.rate(category) for category in compared.categories}
    return [
        CategoryRow(
            category=category or "(none)",
            num_prompts=f"{rate.num_prompts:,}",
            win=rate_text(rate.win),
            tie=rate_text(rate.tie),
            loss=rate_text(rate.loss),
            difference=difference_text(rate.difference),
        )
        for category, rate in rates.items()
    ]
