from dataclasses import replace

from codepretrain.report import tables


def test_many_variants_go_on_in_further_blocks_with_the_baseline_repeated(comparison):
    blocks = tables.blocks(comparison, comparison.headline_rows, max_variants=3)
    assert [block.variants for block in blocks] == [
        ("text_only", "balanced_to_text", "code_to_text"),
        ("text_only", "cooldown_text", "cooldown_with_code"),
    ]
    assert [title for title, _ in blocks[0].groups()] == ["Held-out loss", "Tasks"]
    without = replace(comparison, baseline=None)
    blocks = tables.blocks(without, comparison.headline_rows, max_variants=3)
    assert [len(block.variants) for block in blocks] == [3, 2]


def test_a_metric_is_told_with_its_direction_and_chance(comparison):
    notes = {
        row.evaluator: tables.row_view(comparison, row)["notes"] for row in comparison.headline_rows
    }
    assert notes["validation_loss"] == "nats/token, lower is better"
    assert notes["prose_continuation"] == "%, higher is better, chance 25.0%"
