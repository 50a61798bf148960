import re
import xml.etree.ElementTree as ElementTree

import matplotlib
from matplotlib.figure import Figure

from codepretrain.report.figure_style import (
    INK,
    MARKER_PATHS,
    MARKERS,
    RC_PARAMS,
    VARIANT_COLORS,
    svg_element,
    variant_look,
    variant_style,
)


def test_sixteen_variants_can_be_told_apart():
    assert len({variant_look(index) for index in range(16)}) == 16
    assert len({variant_style(index)["color"] for index in range(7)}) == 7
    assert len(MARKER_PATHS) == len(MARKERS)


def figure(name):
    with matplotlib.rc_context(RC_PARAMS):
        drawn = Figure(figsize=(3, 2))
        drawn.subplots().plot([0, 1], [0, 1], color=VARIANT_COLORS[1])
        return svg_element(drawn, name=name)


def test_a_figure_takes_its_colors_from_the_page():
    text = figure("a")
    ElementTree.fromstring(text)
    assert text.startswith("<svg")
    assert "var(--variant-1)" in text
    assert VARIANT_COLORS[1] not in text
    assert INK not in text
    assert "DejaVu" not in text


def test_two_figures_on_a_page_have_no_id_in_common_and_refer_to_their_own():
    texts = [figure(name) for name in ("a", "b")]
    ids = [set(re.findall(r'id="([^"]+)"', text)) for text in texts]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, own in zip(texts, ids, strict=True):
        assert set(re.findall(r"(?:href=\"|url\()#([^\")]+)", text)) <= own


def test_the_same_figure_gives_the_same_text():
    assert figure("a") == figure("a")
