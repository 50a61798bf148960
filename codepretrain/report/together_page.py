"""Several studies as one self-contained HTML page: an overview, each study, and all runs once."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from codepretrain.report.page import StudyParts, run_tables
from codepretrain.report.templates import environment
from codepretrain.report.together import Cost, Relation, Together
from codepretrain.report.wording import UNKNOWN, duration_text, listed, tokens_text

_RELATIONS: Mapping[Relation, str] = {
    "same runs": "variants that are the same runs in each study",
    "some of the same runs": "variants that share some of their runs",
    "other runs": "variants that are other runs in each study, by the same name",
}
_MAX_NAMES = 6  # of variants in one line of the terminal; more are folded on the page


def render_together(
    together: Together, parts: Mapping[str, StudyParts], sections: Sequence[Markup] = ()
) -> str:
    """Returns the page's HTML.

    Args:
      parts: of every study.
      sections: HTML of what is shown of several studies, after the overview.
    """
    first = next(iter(together.contents.values()))
    runs = together.runs.runs
    values = {
        "title": together.runs.spec.study,
        "lead": lead(together),
        "num_complete": sum(run.status == "complete" for run in runs.values()),
        "code_version": together.runs.spec.code_version,
        "written_at": first.written_at,
        "command": together.runs.spec.command,
        "problems": problems({name: of.values["problems"] for name, of in parts.items()}),
        "study_rows": [_study_row(together, name, of) for name, of in parts.items()],
        "total": _cost(together.total),
        "same_contrasts": same_contrast_lines(together),
        "same_names": [
            {
                "variant": one.variant,
                "relation": one.relation,
                "paths": [
                    (study, _path(together, study, path)) for study, path in one.paths.items()
                ],
            }
            for one in together.same_names
        ],
        "has_many_names": len(together.same_names) > _MAX_NAMES,
        "same_variants": [_spelled(names) for names in together.same_variants],
        "shared_rows": _shared_rows(together),
        "sections": sections,
        "studies": [_study(name, of) for name, of in parts.items()],
        **run_tables(together.runs),
    }
    return environment().get_template("page_together.html").render(values)


def lead(together: Together) -> str:
    """Returns how many studies and runs there are, and how many runs are shared."""
    num_runs, num_shared = len(together.phases), len(together.shared)
    text = f"{len(together.contents)} studies of {num_runs} runs"
    if not num_shared:
        return f"{text}; none is shared."
    return f"{text}, {num_shared} of them shared: each is here once, and is counted once."


def same_contrast_lines(together: Together) -> list[str]:
    """Returns a line for contrasts that are one finding although several studies have them."""
    return [
        f"{listed([f'{study}/{name}' for study, name in names])} are of the same metric and the "
        "same runs: one finding, not several."
        for names in together.same_contrasts
    ]


def variant_lines(together: Together) -> list[str]:
    """Returns what the names of variants mean in several studies, a line for each relation."""
    names: dict[Relation, list[str]] = {}
    for one in together.same_names:
        names.setdefault(one.relation, []).append(one.variant)
    lines = [f"{_RELATIONS[relation]}: {_some(found)}" for relation, found in names.items()]
    return [*lines, *(f"{_spelled(names)} are the same runs" for names in together.same_variants)]


def _some(names: Sequence[str]) -> str:
    """Returns the names; of many, the first ones and how many others there are."""
    if len(names) <= _MAX_NAMES:
        return listed(names)
    return f"{', '.join(names[: _MAX_NAMES - 1])} and {len(names) - _MAX_NAMES + 1} others"


def cost_lines(together: Together) -> list[str]:
    """Returns a line for what each study cost, and one for all of them."""
    lines = []
    for study, cost in together.costs.items():
        new = together.new_costs[study]
        rest = "" if new == cost else f", {tokens_text(new.tokens)} of them not in studies above"
        lines.append(f"{study}: {tokens_text(cost.tokens)} tokens{rest}; {_spent(cost)}")
    total = together.total
    return [*lines, f"together: {tokens_text(total.tokens)} tokens; {_spent(total)}"]


def problems(of_studies: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns every problem once, with the studies that have it unless all have."""
    studies: dict[str, list[str]] = {}
    for study, found in of_studies.items():
        for problem in found:
            studies.setdefault(problem, []).append(study)
    return [
        problem if len(having) == len(of_studies) else f"{', '.join(having)}: {problem}"
        for problem, having in studies.items()
    ]


def _study_row(together: Together, name: str, parts: StudyParts) -> dict[str, Any]:
    values = parts.values
    number = values["spec"].num_parameters
    return {
        "name": name,
        "overview": values["contrast_overview"] or values["overview"],
        "parameters": UNKNOWN if number is None else f"{number:,}",
        "complete": f"{values['num_complete']} of {len(values['variants'])}",
        "cost": _cost(together.costs[name]),
        "new_cost": _cost(together.new_costs[name]),
    }


def _cost(cost: Cost) -> dict[str, str]:
    hours = UNKNOWN if cost.device_seconds is None else f"{cost.device_seconds / 3600:,.2f}"
    return {
        "tokens": tokens_text(cost.tokens),
        "trained": tokens_text(cost.trained_tokens),
        "time": duration_text(cost.seconds),
        "device_hours": hours,
    }


def _spent(cost: Cost) -> str:
    text = _cost(cost)
    return f"trained {text['trained']} in {text['time']}, device-hours {text['device_hours']}"


def _path(together: Together, study: str, path: Sequence[str]) -> str:
    """Returns the phases of a variant, and which run the last one is."""
    fingerprint = together.contents[study].results.runs[path[-1]].plan.fingerprint
    return f"{' → '.join(path)} ({fingerprint[:12]})"


def _shared_rows(together: Together) -> list[dict[str, str]]:
    """Returns a row for each shared phase; its replicates are one row."""
    runs = {run.plan.fingerprint: run for run in together.runs.runs.values()}
    found: dict[str, list[str]] = {}
    for fingerprint, names in together.shared.items():
        # No name in a study has a hyphen: what follows it is the replicate's number.
        where = [f"{study}/{phase.partition('-')[0]}" for study, phase in names.items()]
        found.setdefault(", ".join(where), []).append(fingerprint)
    return [
        {
            "run": runs[of[0]].name,
            "names": joined,
            "count": f"{len(of)}",
            "tokens": tokens_text(runs[of[0]].plan.tokens),
            "fingerprints": ", ".join(fingerprint[:12] for fingerprint in of),
        }
        for joined, of in found.items()
    ]


def _study(name: str, parts: StudyParts) -> dict[str, Any]:
    values = parts.values
    details = [
        ("Variants", f"{values['num_complete']} of {len(values['variants'])} complete"),
        *values["spec"].details.items(),
    ]
    return {
        "name": name,
        "lead": values["contrast_overview"] or values["overview"],
        "details": details,
        "body": _with_own_ids(parts.body, name),
        "origins": _with_own_ids(parts.origins, name),
        "results": f"../{name}/results.json",
    }


def _with_own_ids(html: Markup, prefix: str) -> Markup:
    """Returns HTML whose ids, and the references to them, begin with the name of a study."""
    text = re.sub(r' id="', rf' id="{prefix}-', html)
    return Markup(re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text))


def _spelled(names: Mapping[str, str]) -> str:
    return " and ".join(f"{study}/{variant}" for study, variant in names.items())
