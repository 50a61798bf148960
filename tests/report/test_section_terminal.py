import io
from dataclasses import replace

import pytest
from rich.console import Console

from codepretrain.report.section_terminal import print_pareto, print_trunks
from tests.report.replicated import replicated_study
from tests.report.test_pareto import LEVELS, METRICS
from tests.report.test_pareto import found_in as front_of
from tests.report.test_trunks import found_in, study_of_trunks


def printed(function, found, width=100):
    file = io.StringIO()
    function(Console(file=file, width=width), found, width=width)
    return file.getvalue()


def test_a_trunk_has_a_line_and_a_continuation_a_column(tmp_path):
    text = printed(print_trunks, found_in(study_of_trunks(tmp_path)))
    lines = text.splitlines()
    assert lines[1] == "trunks and what follows them"
    assert "A  text 75%, code 25%, " in text
    (header,) = [line for line in lines if line.split() == ["before", "A", "B"]]
    rows = [line for line in lines if line.startswith("y ")]
    assert all(len(line.split()) == 4 for line in rows)
    below = lines[lines.index(rows[0]) + 1]
    # The slope is below the value, in the column of the continuation.
    assert header.index("A") <= below.index(below.split()[0]) < header.index("B")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_columns_that_do_not_fit_continue_below_with_the_first_one(tmp_path, width):
    found = found_in(study_of_trunks(tmp_path))
    text = printed(print_trunks, found, width=width)
    assert max(map(len, text.splitlines())) <= width
    headers = [line.split() for line in text.splitlines() if line.split()[:1] == ["before"]]
    columns = [one for one in headers if set(one) <= {"before", "A", "B"}]
    assert {letter for one in columns for letter in one} == {"before", "A", "B"}


def test_the_front_has_a_line_per_variant(tmp_path):
    found = front_of(replace(replicated_study(tmp_path, LEVELS), pareto=METRICS))
    text = " ".join(printed(print_pareto, found).split())
    assert "Pareto front: code against quiz" in text
    assert "coded: on the front; code 2.5" in text
    assert "plain: behind c" in text


def test_a_study_without_either_prints_nothing():
    assert printed(print_trunks, None) == printed(print_pareto, None) == ""
