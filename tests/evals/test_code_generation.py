"""The kind: its options, what is refused before compute, and a real model."""

import dataclasses
import gzip
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import (
    EvaluatorConfig,
    LoggingConfig,
    MeshConfig,
    ModelConfig,
    StudyConfig,
    TokenizerConfig,
)
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.errors import UserError
from codepretrain.evals.build import Evaluator, build_evaluators
from codepretrain.evals.code_generation import EVALUATOR
from codepretrain.evals.harness.download import download
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.programs.benchmark_data import BENCHMARKS
from codepretrain.evals.progress import no_progress
from codepretrain.evals.registry import check_evaluators, check_machine, evaluator_request
from codepretrain.evals.sandbox.run import Isolation
from codepretrain.metrics.writer import MetricsWriter
from codepretrain.model.transformer import Params, init_params
from codepretrain.train.sharding import make_mesh
from tests.evals.programs.conftest import HUMAN_EVAL, MBPP
from tests.fixtures.hub import Hub
from tests.fixtures.processes import RunJob

SMALL = {"max_new_tokens": 8, "cpu_seconds": 1}


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmarks")
    lines = "".join(json.dumps(record) + "\n" for record in HUMAN_EVAL)
    (folder / "HumanEval.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (folder / "mbpp.jsonl").write_text("".join(json.dumps(record) + "\n" for record in MBPP))
    return folder


@pytest.fixture(scope="session")
def text_data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a tokenizer only, in a working directory."""
    root = tmp_path_factory.mktemp("work") / "data" / "0123"
    texts = [record["prompt"] + record["canonical_solution"] for record in HUMAN_EVAL] * 20
    config = TokenizerConfig(vocab_size=320)
    save_tokenizer(train_tokenizer(texts, config), config, root)
    return root


@pytest.fixture(scope="session")
def one_device() -> Mesh:
    return make_mesh(MeshConfig(), jax.devices()[:1])


@pytest.fixture(scope="session")
def code_model_config(model_config: ModelConfig) -> ModelConfig:
    return dataclasses.replace(model_config, vocab_size=320)


@pytest.fixture(scope="session")
def code_params(code_model_config: ModelConfig) -> Params:
    return jax.jit(init_params, static_argnums=0)(code_model_config, jax.random.key(2))


@pytest.fixture
def study(config: StudyConfig, code_model_config: ModelConfig) -> StudyConfig:
    data = dataclasses.replace(config.data, max_seq_len=512)
    return dataclasses.replace(config, model=code_model_config, data=data)


def with_options(study: StudyConfig, options: Mapping[str, Any], **keywords: Any) -> StudyConfig:
    chosen = EvaluatorConfig(kind="code_generation", options={**SMALL, **options}, **keywords)
    return dataclasses.replace(study, evals={"code": chosen})


def build(study: StudyConfig, data_dir: Path, mesh: Mesh) -> Evaluator:
    (evaluator,) = build_evaluators(study, data_dir, mesh)
    return evaluator


def human_eval(benchmarks: Path, **options: Any) -> dict[str, Any]:
    return {"task": "human_eval", "data": str(benchmarks / "HumanEval.jsonl.gz"), **options}


def mbpp(benchmarks: Path, **options: Any) -> dict[str, Any]:
    return {"task": "mbpp", "data": str(benchmarks / "mbpp.jsonl"), **options}


def computes_nothing(params: Params, wanted: Sequence[Any], **_: Any) -> list[Any]:
    assert not wanted
    return []


def test_a_real_model_is_evaluated(
    study: StudyConfig,
    benchmarks: Path,
    text_data_dir: Path,
    one_device: Mesh,
    code_params: Params,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Samples, their grades, and bits per byte as scored token by token."""
    options = human_eval(benchmarks, num_samples=2, k="1,2", temperature=1.0)
    evaluator = build(with_options(study, options), text_data_dir, one_device)
    found = evaluator(code_params)
    assert [len(record["samples"]) for record in found.items.records] == [2, 2, 2]
    assert found.metrics["baseline/reference"].value == 1
    assert found.metrics["pass_at_2"].value >= found.metrics["pass_at_1"].value
    reasons = [m.value for name, m in found.metrics.items() if name.startswith("reason/")]
    assert sum(reasons) == pytest.approx(1)
    tokenizer = TextTokenizer.load(text_data_dir)
    model = evaluator.evaluation._model  # type: ignore[attr-defined]
    for number, record in enumerate(HUMAN_EVAL):
        text = record["prompt"].rstrip()
        reference = f"\n{record['canonical_solution']}"
        scores = model.score(
            code_params, [[tokenizer.bos, *tokenizer.encode(text)]], [tokenizer.encode(reference)]
        )
        bits = -scores.log_probabilities[0] / np.log(2)
        assert found.items.scores["bits_per_byte"][number] == pytest.approx(bits, rel=1e-4)
        assert found.items.scores["bits_per_byte/weight"][number] == len(reference.encode())
    # All of it is kept: the model computes nothing again, and no program runs.
    monkeypatch.setattr(model, "_generator", computes_nothing)
    monkeypatch.setattr(model, "_scorer", computes_nothing)
    monkeypatch.setattr("codepretrain.evals.programs.grading.grade_trials", None)
    assert evaluator(code_params).metrics == found.metrics


def test_of_a_recorded_result_only_the_baselines_are_kept(
    study: StudyConfig,
    benchmarks: Path,
    text_data_dir: Path,
    one_device: Mesh,
    code_params: Params,
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data" / "0123"
    shutil.copytree(text_data_dir, data_dir)
    evaluator = build(with_options(study, human_eval(benchmarks)), data_dir, one_device)
    with MetricsWriter(tmp_path, LoggingConfig(write_tensorboard=False), "run") as writer:
        evaluator.record(code_params, writer, tmp_path, step=7, tokens=700)
    (kept,) = (tmp_path / "evaluation_cache").iterdir()
    assert kept.name.endswith("-baselines.jsonl")


def test_mbpp_of_a_real_model(
    study: StudyConfig,
    benchmarks: Path,
    text_data_dir: Path,
    one_device: Mesh,
    code_params: Params,
) -> None:
    options = mbpp(benchmarks, num_fewshot=0)
    evaluator = build(with_options(study, options), text_data_dir, one_device)
    found = evaluator(code_params)
    assert found.items.ids == ["MBPP/11", "MBPP/12", "MBPP/13"]
    assert found.metrics["baseline/reference"].value == 1


def test_the_identity_has_all_that_decides(
    study: StudyConfig, benchmarks: Path, text_data_dir: Path, one_device: Mesh, tmp_path: Path
) -> None:
    changes: list[Mapping[str, Any]] = [
        {},
        {"keep_line_break": True},
        {"max_new_tokens": 9},
        {"cpu_seconds": 2},
        {"temperature": 1.0},
        {"temperature": 1.0, "seed": 1},
    ]
    digests = {}
    for change in changes:
        options = human_eval(benchmarks, **change)
        evaluator = build(with_options(study, options), text_data_dir, one_device)
        digests[json.dumps(change)] = evaluator.digest
    assert len(set(digests.values())) == len(changes)
    changed = [*HUMAN_EVAL[:2], HUMAN_EVAL[2] | {"test": "def check(candidate):\n    pass\n"}]
    path = tmp_path / "HumanEval.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in changed))
    other = human_eval(benchmarks, data=str(path))
    evaluator = build(with_options(study, other), text_data_dir, one_device)
    assert evaluator.digest not in digests.values()
    # Where the file is, in which form, and which layers are required decides nothing.
    path.write_text(json.dumps(HUMAN_EVAL))
    same = human_eval(benchmarks, data=str(path), sandbox_layers="limits")
    evaluator = build(with_options(study, same), text_data_dir, one_device)
    assert evaluator.digest == digests["{}"]
    assert "Python 3." in evaluator.identity["grader"]


def test_fewer_examples_are_some_of_more(
    study: StudyConfig, benchmarks: Path, text_data_dir: Path, one_device: Mesh
) -> None:
    drawn = []
    for number in (1, 2, 200):
        chosen = with_options(study, human_eval(benchmarks), num_examples=number)
        evaluation: Any = build(chosen, text_data_dir, one_device).evaluation
        drawn.append([problem.id for problem in evaluation._tokenized.problems])
    assert [len(ids) for ids in drawn] == [1, 2, 3]
    assert set(drawn[0]) < set(drawn[1]) < set(drawn[2])
    assert drawn[1] == sorted(drawn[1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "humaneval"}, "task: no code_generation task 'humaneval'; did you mean human_ev"),
        ({"k": "1,2"}, r"k: pass@2 needs .*num_samples of 2 or more.* found num_samples = 1"),
        ({"k": "0"}, r"k: pass@0 needs .* a k of 1 or more"),
        ({"k": "one"}, "k: expected whole numbers separated by commas, found 'one'"),
        (
            {"num_samples": 2},
            r"num_samples = 2: greedy samples are all the same; set .*temperature",
        ),
        ({"num_samples": 0}, "num_samples: expected 1 to 10000, found 0"),
        ({"temperature": -0.5}, "temperature: expected 0 or more, found -0.5"),
        ({"cpu_seconds": 10**11}, "cpu_seconds: expected 1 to 3600, found 100000000000"),
        ({"top_p": 0.9}, r"top_p and top_k are of sampling: set .*temperature above 0"),
        ({"top_p": 0.0, "temperature": 1.0}, r"top_p: expected a number in \(0, 1\], found 0"),
        ({"top_k": 0, "temperature": 1.0}, "top_k: expected 1 or more, or None, found 0"),
        ({"seed": -1, "temperature": 1.0}, "seed: expected 0 to 4294967295, found -1"),
        ({"num_fewshot": 3}, "num_fewshot: the prompts of human_eval are 0-shot, found 3"),
        ({"task": "mbpp", "num_fewshot": 4}, "num_fewshot: expected 0 to 3, found 4"),
        ({"task": "mbpp", "keep_line_break": True}, "keep_line_break is an option of human_eval"),
        ({"max_new_tokens": 0}, "max_new_tokens: expected 1 or more, found 0"),
        ({"sandbox_layers": "limits,secomp"}, "sandbox_layers: no sandbox layer 'secomp'; did you"),
        (
            {"max_new_tokens": 511},
            "max_new_tokens = 511 leaves no room for a prompt: expected less",
        ),
    ],
)
def test_options_that_cannot_be_used(
    study: StudyConfig, benchmarks: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_evaluators(with_options(study, human_eval(benchmarks, **options)))
    assert str(caught.value).startswith("config.evals.code.options.")


def test_data_is_checked_before_anything_is_prepared(
    study: StudyConfig, benchmarks: Path, tmp_path: Path
) -> None:
    """No evaluation of held-out documents is needed."""
    data = dataclasses.replace(study.data, validation_fraction=0.0)
    check_evaluators(with_options(dataclasses.replace(study, data=data), human_eval(benchmarks)))
    missing = human_eval(benchmarks, data=str(tmp_path / "none.jsonl"))
    with pytest.raises(UserError, match=r"config.evals.code.options.data: there is no file"):
        check_machine(with_options(study, missing))
    swapped = human_eval(benchmarks, data=str(benchmarks / "mbpp.jsonl"))
    with pytest.raises(UserError, match=r"is no human_eval file: 2: no text in prompt"):
        check_machine(with_options(study, swapped))
    path = tmp_path / "twice.jsonl"
    path.write_text((json.dumps(HUMAN_EVAL[0]) + "\n") * 2)
    twice = human_eval(benchmarks, data=str(path))
    with pytest.raises(UserError, match="has a problem twice"):
        check_machine(with_options(study, twice))


@pytest.mark.filterwarnings("default")
def test_fetched_data_is_the_same_evaluation_as_the_authors_files(
    hub: Hub,
    study: StudyConfig,
    benchmarks: Path,
    text_data_dir: Path,
    one_device: Mesh,
    tmp_path: Path,
) -> None:
    datasets = {task: (known.reference, known.license) for task, known in BENCHMARKS.items()}
    assert download({}, tmp_path / "data", no_progress, datasets=datasets) == []
    for options in (human_eval(benchmarks), mbpp(benchmarks, num_fewshot=0)):
        fetched = {**options, "data": str(tmp_path / "data")}
        ours, theirs = (
            build(with_options(study, chosen), text_data_dir, one_device).identity
            for chosen in (fetched, options)
        )
        assert ours == theirs


def test_tests_that_import_what_is_not_there_are_named(study: StudyConfig, tmp_path: Path) -> None:
    test = "import os.path, numpy as np\nfrom pandas.core import x\ndef check(candidate): pass\n"
    path = tmp_path / "HumanEval.jsonl"
    records = [HUMAN_EVAL[0], HUMAN_EVAL[1] | {"test": test}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    options = {"task": "human_eval", "data": str(path)}
    message = r"code.options.data: the tests of HumanEval/1 import numpy, and the sandbox has"
    with pytest.raises(UserError, match=message):
        check_machine(with_options(study, options))


def test_a_host_without_the_layers_is_named(
    study: StudyConfig, benchmarks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weak = Isolation(("limits",), {"seccomp": "not here"})
    monkeypatch.setattr("codepretrain.evals.sandbox.run.sandbox_isolation", lambda: weak)
    monkeypatch.setattr("socket.gethostname", lambda: "worker-3")
    message = r"host worker-3: .*seccomp \(not here.*config.evals.code.options.sandbox_layers="
    with pytest.raises(UserError, match=message):
        check_machine(with_options(study, human_eval(benchmarks)))


def test_a_prompt_that_does_not_fit_is_named(
    study: StudyConfig, benchmarks: Path, text_data_dir: Path, one_device: Mesh
) -> None:
    long = with_options(study, mbpp(benchmarks, max_new_tokens=400))
    message = r"config.evals.code: MBPP/\d+ takes \d+ tokens, 400 of a completion .* at most 512"
    with pytest.raises(UserError, match=message):
        build(long, text_data_dir, one_device)


def test_the_declaration(study: StudyConfig, benchmarks: Path) -> None:
    chosen = with_options(study, human_eval(benchmarks)).evals["code"]
    kind, request = evaluator_request("code", chosen)
    assert kind is EVALUATOR
    assert request.options.k == "1"


PROCESSES = """
import dataclasses, json
from pathlib import Path
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from codepretrain.config.schema import DataConfig, EvaluatorConfig, MeshConfig
from codepretrain.evals import code_generation
from codepretrain.evals.build import build_evaluators
from codepretrain.evals.programs import grading
from codepretrain.model.transformer import init_params
from codepretrain.train.sharding import make_mesh
from tests.configs import TINY_MODEL, bare_study

data_dir, path = Path(arguments[0]), arguments[1]
model = dataclasses.replace(TINY_MODEL, vocab_size=320, logit_scale=4.0, compute_dtype="float32")
options = {"task": "human_eval", "data": path, "max_new_tokens": 8, "num_samples": 2, "k": "1,2",
           "temperature": 0.9, "cpu_seconds": 1}
config = bare_study(model, data=DataConfig(sources={}, max_seq_len=512),
                    evals={"code": EvaluatorConfig(kind="code_generation", options=options)})
if process:
    code_generation.read_benchmark = None  # only process 0 reads the data
ran = []
real = grading.grade_trials
def counted(trials, **keywords):
    ran.extend(trials)
    return real(trials, **keywords)
grading.grade_trials = counted
mesh = make_mesh(MeshConfig())
everywhere = NamedSharding(mesh, PartitionSpec())
params = jax.jit(init_params, static_argnums=0, out_shardings=everywhere)(model, jax.random.key(2))
(evaluator,) = build_evaluators(config, data_dir, mesh)
found = evaluator(params)
nats = np.round(found.items.scores["bits_per_byte"], 3).tolist()
scores = {name: values.tolist() for name, values in found.items.scores.items()}
print(json.dumps([found.items.records, nats, scores["pass_at_1"], scores["pass_at_2"]]))
print(len(ran))
"""


def test_two_processes_give_the_result_of_one_fresh_and_resumed(
    run_job: RunJob, text_data_dir: Path, benchmarks: Path, tmp_path: Path
) -> None:
    path = benchmarks / "HumanEval.jsonl.gz"
    lines = {}
    for number in (1, 2):
        folder = tmp_path / f"{number}" / "data" / "0123"
        shutil.copytree(text_data_dir, folder)
        jobs = [run_job(PROCESSES, folder, path, num_processes=number) for _ in range(number)]
        for job in jobs:
            assert all(ended.returncode == 0 for ended in job), job
        lines[number] = [[e.stdout.splitlines()[-2:] for e in ended] for ended in jobs]
    (((result, num_run),),) = lines[1]
    for ended in lines[2]:
        assert [line[0] for line in ended] == [result] * len(ended)
    fresh, again = lines[2]
    assert sum(int(line[1]) for line in fresh) == int(num_run)
    assert all(int(line[1]) > 0 for line in fresh)
    assert all(line[1] == "0" for line in again)
