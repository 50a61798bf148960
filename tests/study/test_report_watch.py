"""The report of a study that is running: written when there is more, until it is complete."""

import re
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.load import load_study
from codepretrain.report.write import write_report
from codepretrain.study import report_watch
from codepretrain.study.workspace import Workspace
from tests.conftest import TINY
from tests.report.replicated import replicated_study


class NothingHappensAnyMoreError(Exception):
    pass


def test_it_is_written_again_only_when_there_is_more(
    trained_copy: Path,
    tiny_overrides: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its cooldown is not trained, so the study is not complete."""
    config = load_study(TINY, tiny_overrides)
    log = next((trained_copy / "runs").glob("branch-*")) / "metrics.jsonl"
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            lines = log.read_text().splitlines(keepends=True)
            log.write_text("".join(lines[:-1]))
        if len(looks) == 3:
            raise NothingHappensAnyMoreError

    monkeypatch.setattr(report_watch.time, "sleep", sleep)
    with pytest.raises(NothingHappensAnyMoreError):
        report_watch.watch_report(
            lambda: Workspace(config, epath.Path(trained_copy)), command_line="a test", poll_s=7
        )
    assert looks == [7, 7, 7]
    told = capsys.readouterr().out
    assert told.count("report: ") == 2
    assert re.search(r"\d+ of \d+ steps, \d+ of \d+ evaluations at the end of a phase", told)
    assert "complete" not in told
    page = (trained_copy / "reports" / "tiny" / "index.html").read_text()
    assert '<meta http-equiv="refresh" content="7">' in page


def test_it_ends_with_the_study_and_the_last_page_does_not_reload(
    trained_copy: Path,
    tiny_overrides: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = replicated_study(tmp_path, {"plain": (3.0, 3.1), "coded": (2.5, 2.6)})
    monkeypatch.setattr(report_watch, "report_input", lambda *_, **__: study)
    config = load_study(TINY, tiny_overrides)
    report_watch.watch_report(
        lambda: Workspace(config, epath.Path(trained_copy)), command_line="a test", poll_s=7
    )
    assert capsys.readouterr().out.startswith("the study is complete: ")
    assert "http-equiv" not in write_report(study, tmp_path / "report").read_text()
