"""The command `judge`, over completions that are written as an evaluation writes them."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from etils import epath

from codepretrain.cli.main import main
from codepretrain.config.load import load_study
from codepretrain.evals.identity import identity_digest, spec_digest
from codepretrain.evals.item_scores import ItemScores, write_item_scores
from codepretrain.evals.registry import evaluator_request
from codepretrain.files import journal as journals
from codepretrain.study.workspace import Workspace
from tests.conftest import ROOT, TINY
from tests.endpoint.loopback import Handler, Server, answer, endpoint, raw
from tests.evals.judge.judging import by_quality, judging

KEY = "sk-hunter2-0123456789"
IDENTITY = {"spec": "s", "items": "prompts", "settings": "greedy"}
NUM_PROMPTS = 12


class Study:
    """The tiny study with an evaluation `dolly`, and completions of stated quality."""

    def __init__(
        self,
        folder: Path,
        overrides: list[str],
        workdir: Path | None = None,
        *,
        prompts: str = "p.jsonl",
        max_new_tokens: int = 8,
    ) -> None:
        self.workdir = workdir or folder / "work"
        path = folder / "study.py"
        path.write_text(
            f"import importlib.util\n"
            f"spec = importlib.util.spec_from_file_location('tiny', {str(TINY)!r})\n"
            "tiny = importlib.util.module_from_spec(spec)\n"
            "spec.loader.exec_module(tiny)\n"
            "def get_config():\n"
            "    config = tiny.get_config()\n"
            "    with config.unlocked():\n"
            "        config.variants = {'branched': 'branch', 'trunk_only': 'trunk',\n"
            "                           'annealed': 'cooldown'}\n"
            "        config.evals['dolly'] = dict(\n"
            "            kind='completions', num_examples=200, interval_steps=None,\n"
            f"            options={{'prompts': {prompts!r}, 'max_new_tokens': {max_new_tokens}}},\n"
            "            benchmarks=(),\n"
            "            allow_contamination=False)\n"
            "    return config\n"
        )
        self.flags = ["--config", str(path), "--workdir", str(self.workdir), *overrides]
        self.workspace = Workspace(load_study(path, overrides), epath.Path(self.workdir))

    def record(self, variant: str, qualities: list[int]) -> None:
        phase = self.workspace.config.variants[variant]
        run_dir, step = self.workspace.run_dir(phase), self.workspace.phases[phase].num_steps
        spec = spec_digest(*evaluator_request("dolly", self.workspace.config.evals["dolly"]))
        identity = IDENTITY | {"spec": spec}
        digest = identity_digest(identity)
        line: dict[str, Any] = {"step": step, "evaluator": "dolly", "tokens": 1, "metrics": {}}
        line |= {"digest": digest, "identity": identity}
        run_dir.mkdir(parents=True, exist_ok=True)
        (run_dir / "evals.jsonl").write_text(json.dumps(line) + "\n")
        records = [
            {
                "id": f"p{i}",
                "category": ("open_qa", "brainstorming")[i % 2],
                "prompt": f"Request {i}\n\n",
                "completion": f"quality {quality}",
            }
            for i, quality in enumerate(qualities)
        ]
        ids = [str(record["id"]) for record in records]
        write_item_scores(run_dir, "dolly", step, digest, ItemScores(ids, {}, records, ids))

    def judge(self, server: Server | str, *more: str) -> list[str]:
        url = server if isinstance(server, str) else server.url
        return [
            "judge", *self.flags, "--evaluator", "dolly", "--endpoint", url, "--model", "m", *more,
        ]  # fmt: skip

    @property
    def results(self) -> list[dict[str, Any]]:
        paths = sorted(self.workdir.glob("judge/*/tiny/*.json"))
        return [json.loads(path.read_text()) for path in paths]


@pytest.fixture
def study(tmp_path: Path, tiny_overrides: list[str]) -> Study:
    made = Study(tmp_path, tiny_overrides)
    made.record("annealed", [5] * NUM_PROMPTS)
    made.record("branched", [9] * 7 + [1] * 3 + [6] * 2)
    made.record("trunk_only", [5] * NUM_PROMPTS)
    return made


def test_every_variant_against_the_baseline(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(judging(by_quality)) as server:
        assert main(study.judge(server)) == 0
        printed = capsys.readouterr()
        assert "2 pairs of runs, 24 matches (12 of identical completions)" in printed.err
        assert "24 verdicts to ask for, 0 kept" in printed.err
        assert "branched against annealed" in printed.out
        assert "win 75.0%" in printed.out
        assert "12 prompts have the same completion twice: ties" in printed.out
        assert len(server.seen) == 24
        assert main(study.judge(server)) == 0
        assert len(server.seen) == 24, "everything is kept"
    branched, trunk = study.results
    assert (branched["variant"]["variant"], branched["reference"]["variant"]) == (
        "branched",
        "annealed",
    )
    rates = branched["summary"]["win_rate"]
    assert (rates["win"]["value"], rates["loss"]["value"]) == (9 / 12, 3 / 12)
    assert rates["difference"]["value"] == pytest.approx(0.5)
    assert rates["difference"]["interval"]["low"] < 0.5 < rates["difference"]["interval"]["high"]
    assert branched["summary"]["order_effect"]["agreement"]["value"] == 1
    assert set(branched["summary"]["categories"]) == {"open_qa", "brainstorming"}
    assert trunk["summary"]["win_rate"]["num_identical"] == 12
    phases = study.workspace.phases
    assert branched["variant"]["step"] == phases["branch"].num_steps
    assert branched["variant"]["fingerprint"] == study.workspace.fingerprint("branch")
    assert branched["prompts_sha256"] == "prompts"
    assert branched["judge"]["model"] == "m"
    assert branched["answered_by"] == ["m-1"]


def test_chosen_pairs(study: Study) -> None:
    with endpoint(judging(by_quality)) as server:
        assert main(study.judge(server, "--pairs", "annealed:branched, trunk_only:branched")) == 0
    names = [(r["variant"]["variant"], r["reference"]["variant"]) for r in study.results]
    assert names == [("annealed", "branched"), ("trunk_only", "branched")]
    assert study.results[0]["summary"]["win_rate"]["win"]["value"] == 3 / 12


def test_endpoints_that_know_no_seed_get_none(study: Study) -> None:
    with endpoint(judging(by_quality)) as server:
        assert main(study.judge(server, "--seed", "-1")) == 0
        assert all("seed" not in body for _, body in server.seen)
        assert main(study.judge(server, "--seed", "5")) == 0
        assert {body["seed"] for _, body in server.seen[24:]} == {5}
    assert len(study.results) == 4, "another seed is another judge"


def test_a_dry_run_sends_and_writes_nothing(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(raw(b"", 500)) as server:
        prices = ["--prompt-price", "1", "--completion-price", "100"]
        # A key that is not set is not needed to estimate.
        assert main(study.judge(server, "--dry-run", "--key-env", "NO_SUCH", *prices)) == 0
        assert server.seen == []
    printed = capsys.readouterr().err
    assert "24 verdicts to ask for, 0 kept; about 0.6" in printed
    assert "at most 2." in printed
    assert not (study.workdir / "judge").exists()


def test_the_budget_leaves_an_incomplete_result_that_a_rerun_completes(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(judging(by_quality)) as server:
        budget = ["--completion-price", "1000", "--max-tokens", "50", "--concurrency", "1"]
        assert main(study.judge(server, *budget, "--max-cost", "0.2")) == 1
        printed = capsys.readouterr()
        assert (
            "--max-cost was reached: the results lack verdicts; rerun with a larger --max-cost"
            in printed.err
        )
        assert "prompts are not judged yet and left out" in printed.out
        asked = len(server.seen)
        assert 0 < asked < 24
        assert study.results[0]["summary"]["win_rate"]["num_missing"] > 0
        assert main(study.judge(server, *budget)) == 0
        assert len(server.seen) == 24
    assert study.results[0]["summary"]["win_rate"]["num_missing"] == 0


def test_failed_requests_are_a_failure_that_a_rerun_mends(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint(judging(by_quality), raw(b"too long", 400), judging(by_quality)) as server:
        assert main(study.judge(server, "--concurrency", "1")) == 1
        assert "1 requests failed: the results lack verdicts" in capsys.readouterr().err
        assert main(study.judge(server, "--concurrency", "1")) == 0
        assert len(server.seen) == 25


def test_the_key_is_in_no_file_of_the_working_directory_and_not_printed(
    study: Study, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    echo = answer(f"Your key is {KEY}.\nVERDICT: 1", model=f"m {KEY}")
    with endpoint(echo, raw(KEY.encode(), 400), echo) as server:
        assert main(study.judge(server, "--key-env", "JUDGE_KEY")) == 1
        assert {headers["Authorization"] for headers, _ in server.seen} == {f"Bearer {KEY}"}
    with endpoint(raw(f"wrong: {KEY}".encode(), 401)) as server:
        assert main(study.judge(server, "--key-env", "JUDGE_KEY")) == 2
    printed = capsys.readouterr()
    assert KEY not in printed.out + printed.err
    files = [path for path in study.workdir.rglob("*") if path.is_file()]
    assert any(path.name == "verdicts.jsonl" for path in files)
    for path in files:
        assert KEY.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--evaluator", "doly"], "--evaluator: there is no evaluation 'doly'; did you mean dolly"),
        (["--evaluator", "validation"], "config.evals.validation.kind: expected 'completions'"),
        (["--pairs", "branched"], "--pairs: expected two different variants, as in a:b, found"),
        (["--pairs", "annealed:annealed"], "--pairs: expected two different variants"),
        (["--pairs", "branchd:annealed"], "no variant 'branchd'; did you mean branched?"),
        (["--local", "trunk"], "by --endpoint and --model or by --local, found --endpoint and"),
        (["--key-env", "NO_SUCH"], "--key-env: the environment variable 'NO_SUCH' is not set"),
        (["--endpoint", "http://example.org"], "http is for this machine; use https"),
        (["--max-cost", "3"], "--max-cost needs --prompt-price or --completion-price"),
        (["--concurrency", "0"], "--concurrency: expected a whole number, at least 1"),
        (["--deadline-s", "-1"], "--deadline-s: expected a number, at least 0, got '-1'"),
    ],
)
def test_mistakes_are_one_line(
    study: Study, capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    usual = {"--evaluator": "dolly", "--endpoint": "http://127.0.0.1:9/v1", "--model": "m"}
    usual |= dict(zip(flags[::2], flags[1::2], strict=True))
    arguments = [part for pair in usual.items() for part in pair]
    assert main(["judge", *study.flags, *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_judge_is_needed(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["judge", *study.flags, "--evaluator", "dolly"]
    assert main(flags) == 2
    assert "expected a judge, by --endpoint and --model or by --local" in capsys.readouterr().err
    assert main([*flags, "--endpoint", "http://127.0.0.1:9/v1"]) == 2
    assert "--model is missing" in capsys.readouterr().err


def test_completions_that_are_missing_are_one_line(
    study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    (study.workspace.run_dir("branch") / "evals.jsonl").unlink()
    assert main(study.judge("http://127.0.0.1:9/v1")) == 2
    error = capsys.readouterr().err
    assert "variant 'branched'" in error
    assert "run `codepretrain evaluate --phase branch` first" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_judge_resumes_without_paying_twice(study: Study, number: int) -> None:
    def slow(handler: Handler, body: dict[str, Any]) -> None:
        time.sleep(0.1)
        judging(by_quality)(handler, body)

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with endpoint(slow) as server:
        arguments = study.judge(server, "--concurrency", "2")
        command = [sys.executable, "-m", "codepretrain", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        while len(server.seen) < 7:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        _, error = process.communicate()
        time.sleep(0.3)
        (path,) = study.workdir.glob("judge/*/verdicts.jsonl")
        num_kept, num_seen = len(journals.read(path)), len(server.seen)
        if number == signal.SIGKILL:
            assert num_seen - num_kept <= 2, "at most the requests in flight are lost"
        else:
            assert process.returncode == 128 + number
            assert b"To resume, run: codepretrain judge" in error
            assert num_kept == num_seen, "requests in flight are waited for and kept"
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        assert len(server.seen) - num_seen == 24 - num_kept
    assert len({line["request"] for line in journals.read(path)}) == 24
