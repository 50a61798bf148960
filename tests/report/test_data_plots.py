"""Figures of a real description: what is drawn in them, as SVG."""

import copy
import re
from typing import Any

import pytest

from codepretrain.report import data_plots
from codepretrain.report.figure_style import SOURCE_COLORS

Description = dict[str, Any]
FIGURES = (
    data_plots.fate_figure,
    data_plots.mixture_figure,
    data_plots.length_figure,
    data_plots.language_figure,
)


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@pytest.mark.parametrize("figure", FIGURES)
def test_a_figure_is_an_element_without_network(figure: Any, description: Description) -> None:
    svg = figure(description)
    assert svg.startswith("<svg")
    assert svg == figure(description), "the same bytes each time"
    addresses = re.findall(r'(?:href|src)="([^"]*)"', svg)
    assert all(address.startswith("#") for address in addresses)


def test_fates_of_every_source_and_only_those_there_are(description: Description) -> None:
    svg = data_plots.fate_figure(description)
    assert {"code", "notes", "prose", "103 kB", "27.3 kB", "59.1 kB"} <= {*texts(svg)}
    fates = dict(data_plots.fates_in(description))
    assert set(fates) >= {"train", "validation", "over limit", "contaminated", "filtered"}
    assert "skipped" not in fates
    for color in fates.values():
        assert f"var(--variant-{color})" in svg
    notes = {**description, "sources": {"notes": description["sources"]["notes"]}}
    assert [name for name, _ in data_plots.fates_in(notes)] == ["train", "validation"]


def test_mixtures_stand_beside_what_is_available(description: Description) -> None:
    svg = data_plots.mixture_figure(description)
    assert {"available", "trunk", "cooldown", "8.19k", "4.1k"} <= {*texts(svg)}
    for index in range(3):
        assert f"var(--source-{index})" in svg


def test_lengths_of_sources_without_documents(description: Description) -> None:
    changed = copy.deepcopy(description)
    changed["sources"]["notes"]["lengths"] = {"log2": []}
    assert {"code", "notes", "prose"} <= {*texts(data_plots.length_figure(changed))}
    for source in changed["sources"].values():
        source["lengths"] = {"log2": []}
    assert data_plots.length_figure(changed) == ""


def test_languages_are_text_not_formulas(description: Description) -> None:
    """One with dollar signs is no mathematics, one in a script without glyphs no failure."""
    svg = data_plots.language_figure(description)
    found = texts(svg)
    assert {"C++", "日本語", "$odd$ [b]name[/b]"} <= {*found}
    assert "prose" not in found, "it has one language"
    alone = {**description, "sources": {"prose": description["sources"]["prose"]}}
    assert data_plots.language_figure(alone) == ""


def test_a_color_belongs_to_a_source(description: Description) -> None:
    """In the figure of languages too, where the first sources may have no panel."""
    changed = copy.deepcopy(description)
    changed["sources"] = {name: changed["sources"][name] for name in ("prose", "notes", "code")}
    svg = data_plots.language_figure(changed)
    assert "var(--source-2)" in svg
    assert "var(--source-0)" not in svg


def test_more_sources_than_colors(description: Description) -> None:
    code = description["sources"]["code"]
    names = [f"source_{number}" for number in range(len(SOURCE_COLORS) + 2)]
    share = {"tokens": 1, "share": 1 / len(names), "epochs": 1.0}
    phase = {"name": "p", "tokens": 10, "sources": dict.fromkeys(names, share)}
    changed = {
        **description,
        "sources": dict.fromkeys(names, code),
        "use": {"available": dict.fromkeys(names, 10), "phases": [phase]},
    }
    for figure in FIGURES:
        assert figure(changed)
