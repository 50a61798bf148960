"""What the templates of the sections show."""

from typing import Any

from codepretrain.report.best_rows import best_rows
from codepretrain.report.heatmap import Heatmap
from codepretrain.report.heatmap_rows import heat_blocks, legend
from codepretrain.report.sections import Sections
from codepretrain.report.trunk_plots import slope_figure
from codepretrain.report.trunk_rows import continuation_rows, slope_tables
from codepretrain.report.trunks import Trunks


def section_views(found: Sections) -> dict[str, Any]:
    """Returns the variables of the templates."""
    return {
        "best_rows": best_rows(found.best),
        **_trunks(found.trunks),
        **_heatmap(found.heatmap),
    }


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
