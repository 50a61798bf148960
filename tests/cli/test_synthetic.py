"""The commands `ask-teacher` and `synthetic-report`."""

import json
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import TINY
from tests.endpoint.loopback import answer, endpoint, raw

KEY = "sk-hunter2-0123456789"


@pytest.fixture
def where(tmp_path: Path, tiny_overrides: list[str]) -> list[str]:
    """A study whose source `code` is synthetic, with three problems."""
    path = tmp_path / "study.py"
    path.write_text(
        f"import importlib.util\n"
        f"spec = importlib.util.spec_from_file_location('tiny', {str(TINY)!r})\n"
        "tiny = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(tiny)\n"
        "def get_config():\n"
        "    config = tiny.get_config()\n"
        "    with config.unlocked():\n"
        "        config.data.sources.code.reader = 'synthetic_code'\n"
        "        config.data.sources.code.options = {'num_problems': 3}\n"
        "    return config\n"
    )
    rest = [o for o in tiny_overrides if ".code." not in o]
    return ["--config", str(path), "--workdir", str(tmp_path / "work"), *rest]


def test_ask_teacher_takes_the_key_from_the_named_variable(
    tmp_path: Path,
    where: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    output = tmp_path / "answers" / "a.jsonl"
    with endpoint(answer()) as server:
        flags = ["--source", "code", "--endpoint", server.url, "--model", "m", "--samples", "2"]
        flags += ["--output", str(output), "--key-env", "MY_KEY", "--prompt-price", "10"]
        assert main(["ask-teacher", *flags, *where]) == 0
    account = json.loads(capsys.readouterr().out)
    assert account["num_answers"] == len(server.seen) == 6
    assert account["cost"] == pytest.approx(0.006)
    assert {headers["Authorization"] for headers, _ in server.seen} == {f"Bearer {KEY}"}
    assert KEY not in output.read_text()
    assert len(output.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--source", "cod"], "--source: there is no source 'cod'; did you mean code?"),
        (["--source", "text"], "config.data.sources.text.reader: expected 'synthetic_code', found"),
        (["--endpoint", "http://example.org"], "http is for this machine; use https"),
        (["--key-env", "NO_SUCH"], "the environment variable 'NO_SUCH' is not set"),
        (["--max-cost", "3"], "--max-cost needs --prompt-price or --completion-price"),
        (["--temperature", "nan"], "--temperature: expected a number, at least 0, got 'nan'"),
        (["--concurrency", "0"], "--concurrency: expected a whole number, at least 1"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    where: list[str],
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    usual = {"--source": "code", "--endpoint": "http://127.0.0.1:9/v1", "--model": "m"}
    usual["--output"] = str(tmp_path / "a.jsonl")
    usual |= dict(zip(flags[::2], flags[1::2], strict=True))
    arguments = [part for pair in usual.items() for part in pair]
    assert main(["ask-teacher", *arguments, *where]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_wrong_key_is_one_line_without_the_key(
    tmp_path: Path,
    where: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with endpoint(raw(f"wrong: {KEY}".encode(), 401)) as server:
        flags = ["--source", "code", "--endpoint", server.url, "--model", "m"]
        flags += ["--output", str(tmp_path / "a.jsonl"), "--key-env", "MY_KEY"]
        assert main(["ask-teacher", *flags, *where]) == 2
    error = capsys.readouterr().err
    assert "HTTP 401" in error
    assert KEY not in error


def test_failed_requests_are_a_failure_that_a_rerun_mends(
    tmp_path: Path, where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(answer(), raw(b"too long", 400), answer()) as server:
        flags = ["--source", "code", "--endpoint", server.url, "--model", "m"]
        flags += ["--output", str(tmp_path / "a.jsonl"), "--concurrency", "1"]
        assert main(["ask-teacher", *flags, *where]) == 1
        printed = capsys.readouterr()
        assert json.loads(printed.out)["num_failed"] == 1
        assert "1 requests failed; rerun the same command to send them again" in printed.err
        assert main(["ask-teacher", *flags, *where]) == 0
    assert json.loads(capsys.readouterr().out)["num_answers"] == 3


def test_the_report_of_a_source(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthetic-report", "--source", "code", *where]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["num_candidates"] == report["outcomes"]["verified"] == 3
    assert report["verified_share"] == 1.0
    assert sum(report["families"].values()) == 3
    assert report["distinctness"]["num_programs"] == 3
    assert report["distinctness"]["distinct_statements"] == 1.0
