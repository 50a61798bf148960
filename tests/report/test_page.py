from dataclasses import replace

from codepretrain.report.page import render
from tests.report.replicated import content


def test_the_caution_is_there_only_with_a_comparison(results, comparison):
    def has_caution(shown):
        return 'class="caution"' in render(content(results, shown))

    assert has_caution(comparison)
    assert not has_caution(replace(comparison, baseline=None, cells={}))
