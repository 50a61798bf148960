"""Trunks × continuations as text: what the continuations are, and the slopes."""

from typing import Any

from codepretrain.report.cells import MetricRow
from codepretrain.report.collect import PhaseInput
from codepretrain.report.contrast_result import ContrastResult
from codepretrain.report.contrast_rows import ends, points
from codepretrain.report.trunks import Point, Trunks
from codepretrain.report.wording import (
    NOT_THERE,
    difference_unit,
    number,
    rate_text,
    short_label,
    tokens_text,
    value_text,
)


def continuation_rows(found: Trunks) -> list[dict[str, str]]:
    """Returns what each continuation is, and the variants that end with it."""
    rows = []
    for one in found.columns:
        named = [name for trunk in found.trunks for name in trunk.variants.get(one.letter, ())]
        phases = [trunk.phases[one.letter] for trunk in found.trunks if one.letter in trunk.phases]
        rows.append(
            {
                "letter": one.letter,
                "mixture": _mixture(one.plan) if one.plan else "nothing: the end of the trunk",
                "tokens": tokens_text(one.plan.tokens) if one.plan else "",
                "rate": _rates(one.plan) if one.plan else "",
                "variants": ", ".join(named) or ", ".join(phases),
            }
        )
    return rows


def slope_tables(found: Trunks) -> list[dict[str, Any]]:
    """Returns a table per metric: a row per trunk, a cell per continuation."""
    rows = [of.row for of in found.slopes]
    tables = []
    for of in found.slopes:
        cells = {(point.trunk, point.letter): point for point in of.points}
        tables.append(
            {
                "label": short_label(of.row, rows),
                "unit": difference_unit(of.row),
                "rows": [
                    {
                        "trunk": trunk.name,
                        "index": index,
                        "cells": [
                            _cell(of.row, cells.get((trunk.name, one.letter)))
                            for one in found.columns
                        ],
                    }
                    for index, trunk in enumerate(found.trunks)
                ],
            }
        )
    return tables


def _cell(row: MetricRow, point: Point | None) -> dict[str, str] | None:
    if point is None:
        return None
    empty = dict.fromkeys(
        ("slope", "interval", "between", "sign", "against", "against_interval"), ""
    )
    view = {**empty, "value": value_text(row, point.cell.metric.value)}
    if point.slope is not None:
        view |= {
            "slope": _text(point.slope),
            "interval": _interval(point.slope),
            "between": point.slope.between.text,
            "sign": _sign(point.slope),
        }
    if point.against_first is not None:
        view["against"] = _text(point.against_first)
        view["against_interval"] = _interval(point.against_first)
    return view


def _text(one: ContrastResult) -> str:
    return one.missing or points(one.row, one.value)


def _interval(one: ContrastResult) -> str:
    return "" if one.missing else ends(one.row, one.interval)


def _sign(one: ContrastResult) -> str:
    """Returns the class of a slope on the page, by its own interval."""
    assert one.row is not None
    if one.missing or one.interval.low <= 0 <= one.interval.high:
        return "not-distinguishable"
    is_higher = one.value > 0
    return "favorable" if is_higher == (one.row.direction == "higher") else "unfavorable"


def _mixture(plan: PhaseInput) -> str:
    stages = []
    for stage in plan.mixture:
        shares = plan.shares_at(stage["start_tokens"])
        ordered = sorted(shares.items(), key=lambda item: -item[1])
        stages.append(", ".join(f"{name} {_percent(share)}" for name, share in ordered if share))
    again = "; each source from its beginning" if plan.data_order == "restart" else ""
    return (", then ".join(stages) or NOT_THERE) + again


def _percent(share: float) -> str:
    text = number(100 * share, digits=1)
    return f"{text.removesuffix('.0')}%"


def _rates(plan: PhaseInput) -> str:
    return " → ".join(rate_text(plan.learning_rate[name]) for name in ("start", "end"))
