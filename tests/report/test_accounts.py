from dataclasses import replace

from codepretrain.report import accounts
from codepretrain.report.collect import collect


def test_phases_tell_where_they_come_from_and_what_the_budget_became(results):
    rows = {row["name"]: row for row in accounts.phase_rows(results)}
    assert rows["balanced_continue"]["parent"] == "balanced_init at step 200"
    assert rows["cooldown_code"]["parent"] == "balanced_continue"
    assert rows["text_pretrain"]["parent"] == "random parameters"
    # 240 steps × 16 rows × 128 tokens = 491,520 for the 490,000 asked for.
    assert rows["balanced_init"]["beyond"] == "+1,520 relative to budget"
    assert rows["code_continue"]["learning_rate"] == "3e-3 → 3e-3 → 3e-4"
    assert rows["code_init"]["skipped"] == "2"


def test_skipped_updates_are_placed(results):
    assert accounts.skipped_rows(results) == [("code_init", "steps 71 – 72", 2)]


def test_the_ledger_stands_against_what_was_asked_for(results):
    rows = {(row["phase"], row["source"]): row for row in accounts.ledger_rows(results)}
    # 16 rows a step: 60 steps at a share of 0.175, then 140 at 0.315.
    row = rows["code_continue", "text_reference"]
    assert (row["requested"], row["rows"], row["difference"]) == ("873.6", "874", "+0.4")
    assert ("code_init", "text_reference") not in rows


def test_packing_tells_efficiency_and_split_documents(results):
    rows = {(row["source"], row["split"]): row for row in accounts.packing_rows(results)}
    row = rows["text_docstrings", "train"]
    assert (row["efficiency"], row["truncated"]) == ("96.9%", "133 (11.1%)")  # 124/128, 133/1200


def test_time_adds_up_over_kinds_sessions_and_phases(results):
    run = results.runs["text_pretrain"]
    seconds = accounts.time_seconds(run)
    assert abs(sum(seconds.values()) - sum(s["wall_s"] for s in run.sessions)) < 1e-9
    # 405 steps were made, 5 of them twice; 0.087 s each on training and waiting.
    speed = 405 * 2048 / (405 * 0.087)
    assert abs(accounts.tokens_per_s(run) - speed) < 1e-6
    rows = accounts.time_rows(results)
    assert rows[0]["sessions"] == "2"
    assert rows[-1]["name"] == "all phases"


def test_one_run_under_two_names_takes_its_time_once(study):
    phases = {**study.phases, "alias": study.phases["code_init"]}
    names = [row["name"] for row in accounts.time_rows(collect(replace(study, phases=phases)))]
    assert len(names) == len(study.phases) + 1
