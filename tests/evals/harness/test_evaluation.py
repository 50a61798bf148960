"""The whole evaluation of a tiny model, and what the harness computes with the same model."""

import json
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import pytest
from etils import epath

from codepretrain.errors import UserError
from codepretrain.evals.evaluator import EvalResult, Request
from codepretrain.evals.harness.declaration import EVALUATOR
from codepretrain.evals.harness.evaluation import HarnessEvaluation, build_evaluation
from codepretrain.evals.harness.lm import HarnessLM
from codepretrain.evals.harness.load_tasks import local_datasets
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.harness.task_index import suite_manager
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel, RequestCache
from codepretrain.evals.progress import no_progress
from codepretrain.files import storage
from codepretrain.files.storage import StrPath
from codepretrain.model.transformer import Params
from tests.fixtures.hub import BOOLQ
from tests.fixtures.processes import RunJob

pytestmark = pytest.mark.filterwarnings("default")

TASKS = ["boolq", "triviaqa", "pages", "capitals"]


class Resources:
    def __init__(self, model: LanguageModel, data_dir: Path, cache_dir: StrPath) -> None:
        self.language_model = model
        self.data_dir = data_dir
        self.cache_dir = epath.Path(cache_dir)


@pytest.fixture
def build(
    text_model: LanguageModel, text_dir: Path, task_data: Path, own_tasks: Path, tmp_path: Path
) -> Any:
    def build(
        tasks: str = ",".join(TASKS), cache_dir: StrPath = tmp_path / "unfinished", **changes: Any
    ) -> HarnessEvaluation:
        settings: dict[str, Any] = {
            "max_new_tokens": 8,
            "data": str(task_data),
            "include_path": str(own_tasks),
        }
        options = HarnessOptions(tasks=tasks, **(settings | changes))
        request = Request(path="config.evals.suite", num_examples=100, options=options)
        resources: Any = Resources(text_model, text_dir, cache_dir)
        return build_evaluation(request, resources)

    return build


def test_scores_are_those_that_the_harness_computes(
    build: Any, text_model: LanguageModel, text_params: Params, tokenizer: TextTokenizer,
    task_data: Path, own_tasks: Path,
) -> None:  # fmt: skip
    result: EvalResult = build(max_new_tokens=8)(text_params, no_progress)
    EVALUATOR.check_result(result)
    from codepretrain.evals.harness.data_folder import DataFolder

    with local_datasets(DataFolder(task_data), lambda split: None, include_path=str(own_tasks)):
        theirs = lm_eval.simple_evaluate(
            model=HarnessLM(text_model, text_params, tokenizer),
            tasks=list(TASKS),
            gen_kwargs="max_gen_toks=8",
            task_manager=suite_manager(str(own_tasks)),
            bootstrap_iters=0,
        )["results"]
    ours = {name: metric.value for name, metric in result.metrics.items()}
    assert ours["boolq/accuracy"] == pytest.approx(theirs["boolq"]["acc,none"])
    assert ours["triviaqa/score/exact_match"] == pytest.approx(
        theirs["triviaqa"]["exact_match,remove_whitespace"]
    )
    assert ours["capitals/score/exact_match"] == pytest.approx(
        theirs["capitals"]["exact_match,none"]
    )
    assert ours["pages/bits_per_byte"] == pytest.approx(theirs["pages"]["bits_per_byte,none"])
    assert ours["pages/aggregate/word_perplexity"] == pytest.approx(
        theirs["pages"]["word_perplexity,none"]
    )


def test_likelihoods_are_those_of_the_language_model(
    build: Any, text_model: LanguageModel, text_params: Params, tokenizer: TextTokenizer
) -> None:
    result = build("boolq")(text_params, no_progress)
    for record, row in zip(result.items.records, BOOLQ, strict=True):
        prompt = f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:"
        assert record["prompt"] == prompt
        context = [tokenizer.bos, *tokenizer.encode(prompt)]
        scores = text_model.score(
            text_params, [context] * 2, [tokenizer.encode(" no"), tokenizer.encode(" yes")]
        )
        np.testing.assert_allclose(record["log_probabilities"], scores.log_probabilities, rtol=1e-5)
        assert record["chosen"] == int(np.argmax(scores.log_probabilities))
    metric = result.metrics["boolq/accuracy"]
    assert (metric.count, metric.num_items, metric.null_value) == (3, 6, 0.5)


def test_the_same_parameters_give_the_same_result_every_time(
    build: Any, text_params: Params
) -> None:
    evaluation = build()
    first = evaluation(text_params, no_progress)
    second = evaluation(text_params, no_progress)
    third = build()(text_params, no_progress)
    assert first.metrics == second.metrics == third.metrics
    assert first.items.records == second.items.records == third.items.records


def test_the_identity_changes_with_what_decides_the_result(build: Any, own_tasks: Path) -> None:
    identity = build().identity
    assert set(identity) == {"items", "prompts", "tasks", "grader", "settings"}
    assert "lm_eval 0.4" in identity["grader"]
    assert "boolq 2.0" in identity["grader"]
    assert build().identity == identity
    shots = build(num_fewshot=1).identity
    assert shots["items"] == identity["items"]
    assert shots["prompts"] != identity["prompts"]
    path = own_tasks / "capitals.yaml"
    path.write_text(path.read_text().replace("ignore_case: true", "ignore_case: false"))
    graded = build().identity
    assert graded["tasks"] != identity["tasks"]
    assert {**graded, "tasks": identity["tasks"]} == identity


def test_an_answer_longer_than_the_window_is_an_error_before_any_computation(build: Any) -> None:
    with pytest.raises(UserError, match="triviaqa writes answers of up to 256 tokens"):
        build("triviaqa", max_new_tokens=None)


def test_settings_of_a_generation_that_the_model_lacks(build: Any, own_tasks: Path) -> None:
    path = own_tasks / "capitals.yaml"
    path.write_text(path.read_text().replace("max_gen_toks: 8", "typical_p: 0.5"))
    with pytest.raises(UserError, match=r"capitals: generation_kwargs \['typical_p'\]"):
        build("capitals")


def test_a_killed_evaluation_computes_only_what_is_missing(
    build: Any, text_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[str] = []
    add = RequestCache.add

    def spy(cache: RequestCache, results: Any) -> None:
        computed.extend(results)
        add(cache, results)

    monkeypatch.setattr(RequestCache, "add", spy)
    whole = build()(text_params, no_progress)
    kept = tmp_path / "unfinished"
    assert not list(kept.iterdir())  # nothing is kept of an evaluation that is done
    everything = set(computed)
    computed.clear()

    def stop(done: int, total: int, what: str) -> None:
        if what == "completions":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build()(text_params, stop)
    before = set(computed)
    assert len(before) >= 12  # the choices of boolq at least
    computed.clear()
    again = build()(text_params, no_progress)
    assert before.isdisjoint(computed)
    assert before | set(computed) == everything
    assert again.metrics == whole.metrics
    assert again.items.records == whole.items.records
    assert not list(kept.iterdir())


def test_nothing_is_kept_in_an_object_store_either(
    build: Any, text_params: Params, memory: epath.Path
) -> None:
    build("boolq", cache_dir=memory / "cache")(text_params, no_progress)
    assert not storage.sizes_below(memory)


def test_answers_are_kept_until_they_are_graded(
    build: Any, text_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = build("boolq")

    def stop(done: int, total: int, what: str) -> None:
        if what == "tasks graded":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluation(text_params, stop)
    monkeypatch.delattr(RequestCache, "add")  # no new answers
    evaluation(text_params, no_progress)
    assert not list((tmp_path / "unfinished").iterdir())


TWO_PROCESSES = """
import json
from pathlib import Path
import numpy as np
from etils import epath
from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import Request
from codepretrain.evals.harness.evaluation import build_evaluation
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.language_model import LanguageModel, RequestCache
from codepretrain.evals.progress import no_progress
from codepretrain.errors import PeerError
from codepretrain.hosts import gather
from codepretrain.model.transformer import init_params, logical_axes
from codepretrain.rows.vocabulary import load_vocabulary
from codepretrain.train.sharding import make_mesh, param_shardings
from tests.evals.harness.conftest import MODEL

data_dir, task_data, own_tasks, output = arguments
lines = []
mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=1))
params = jax.jit(init_params, static_argnums=0)(MODEL, jax.random.key(1))
shardings = param_shardings(logical_axes(MODEL), params, mesh)
params = jax.tree.map(
    lambda x, s: jax.make_array_from_callback(x.shape, s, lambda i: np.asarray(x)[i]),
    params, shardings,
)
vocabulary = load_vocabulary(data_dir, vocab_size=MODEL.vocab_size)

class Resources:
    language_model = LanguageModel(MODEL, vocabulary, mesh, batch_size=4, max_seq_len=128)
resources = Resources()
resources.data_dir = data_dir
resources.cache_dir = epath.Path(output) / "unfinished"

def build(tasks):
    # Only process 0 has the data.
    data, own = (task_data, own_tasks) if process == 0 else ("/nowhere", "/nowhere")
    options = HarnessOptions(tasks=tasks, max_new_tokens=8, data=data, include_path=own)
    request = Request(path="config.evals.suite", num_examples=100, options=options)
    built = []
    gather("the evaluations", lambda: built.append(build_evaluation(request, resources)))
    return built[0]

evaluation = build("boolq,triviaqa,pages,capitals")
for _ in range(2):
    result = evaluation(params, no_progress)
    metrics = {name: metric.value for name, metric in result.metrics.items()}
    lines.append([metrics, list(result.items.records), list(result.items.clusters)])
try:
    build("piqa")
except UserError as error:
    lines.append(str(error)[:60])
if process == 0:
    def fail(document, answers):
        raise ZeroDivisionError("a bug in a task")
    evaluation._tasks[0].loaded.task.process_results = fail
try:
    evaluation(params, no_progress)
except (ZeroDivisionError, PeerError) as error:
    lines.append(str(error))
Path(output, f"{process}.json").write_text(json.dumps(lines))
"""


def test_two_processes_give_what_one_gives_and_fail_together(
    build: Any, text_params: Params, run_job: RunJob, text_dir: Path, task_data: Path,
    own_tasks: Path, tmp_path: Path,
) -> None:  # fmt: skip
    alone = build()(text_params, no_progress)
    expected = {name: metric.value for name, metric in alone.metrics.items()}
    (tmp_path / "out").mkdir()
    for ended in run_job(TWO_PROCESSES, text_dir, task_data, own_tasks, tmp_path / "out"):
        assert ended.returncode == 0, ended.stderr
    found = [json.loads((tmp_path / "out" / f"{n}.json").read_text()) for n in range(2)]
    for first, second, missing, failure in found:
        assert first == second
        metrics, records, clusters = first
        assert metrics == pytest.approx(expected, rel=1e-4, nan_ok=True)
        assert [record["id"] for record in records] == list(alone.items.ids)
        assert clusters == list(alone.items.clusters)
        assert missing == "config.evals.suite: 1 task cannot be evaluated: piqa: no dat"
        assert failure.endswith("a bug in a task")
    assert found[0][:3] == found[1][:3]
