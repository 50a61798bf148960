"""What the templates of the sections show."""

from collections.abc import Sequence
from typing import Any

from codepretrain.report.best_rows import best_rows
from codepretrain.report.heatmap import Heatmap
from codepretrain.report.heatmap_rows import heat_blocks, legend
from codepretrain.report.pareto import Pareto
from codepretrain.report.pareto_view import axis_labels, pareto_figure, pareto_rows
from codepretrain.report.sections import Sections
from codepretrain.report.token_equivalents import TokenEquivalents
from codepretrain.report.token_rows import token_rows, token_title
from codepretrain.report.trunk_plots import slope_figure
from codepretrain.report.trunk_rows import continuation_rows, slope_tables
from codepretrain.report.trunks import Trunks


def section_views(found: Sections, variants: Sequence[str]) -> dict[str, Any]:
    """Returns the variables of the templates.

    Args:
      variants: all of the study, in its order.
    """
    return {
        "best_rows": best_rows(found.best),
        **_trunks(found.trunks),
        **_pareto(found.pareto, variants),
        **_heatmap(found.heatmap),
        **_tokens(found.tokens),
    }


def _tokens(found: TokenEquivalents | None) -> dict[str, Any]:
    if found is None:
        return {"token_rows": []}
    mixture, curve = token_title(found)
    return {"token_rows": token_rows(found), "token_mixture": mixture, "token_curve": curve}


def _trunks(found: Trunks | None) -> dict[str, Any]:
    if found is None:
        return {"slope_svg": ""}
    slopes = [point.slope for of in found.slopes for point in of.points if point.slope]
    return {
        "slope_svg": slope_figure(found),
        "slope_trunks": found.trunks,
        "has_slope_recipes": any(one.between.are_recipes for one in slopes),
        "continuation_rows": continuation_rows(found),
        "slope_tables": slope_tables(found),
    }


def _pareto(found: Pareto | None, variants: Sequence[str]) -> dict[str, Any]:
    if found is None:
        return {"pareto_svg": ""}
    leads = [lead for point in found.points for lead in point.leads]
    return {
        "pareto_svg": pareto_figure(found, variants),
        "pareto_labels": axis_labels(found),
        "pareto_rows": pareto_rows(found),
        "pareto_has_recipes": any(lead.between.are_recipes for lead in leads),
    }


def _heatmap(found: Heatmap | None) -> dict[str, Any]:
    if found is None:
        return {"heatmap": None}
    cells = [cell for of in found.rows for cell in of.cells.values()]
    return {
        "heatmap": found,
        "heat_blocks": heat_blocks(found),
        "heat_legend": list(legend()),
        "heatmap_has_aside": any(not cell.difference.between.are_recipes for cell in cells),
    }
