"""Our answers and those of the harness's `hf` backend, in float32 on the CPU: `make test-harness`.

Three tiny models of different shapes are exported, and both backends answer the same requests of
five types of tasks: choices after a context, choices within it, one continuation, whole texts, and
generated answers; with a few examples in the prompt and without. Every answer is compared, then the
scores of the tasks, which the harness computes from its own answers and our evaluation from ours.

Needs the extra `parity`. Two settings make `hf` do what training does: it ends a completion at eos
only, and for rolling likelihoods it adds no bos of its own to the one that starts a window.
"""

import dataclasses
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from etils import epath

from codepretrain.config.schema import MeshConfig, ModelConfig, TokenizerConfig
from codepretrain.data.tokenization.tokenizer import save_tokenizer, train_tokenizer
from codepretrain.evals.harness.evaluation import HarnessEvaluation
from codepretrain.evals.harness.load_tasks import LoadedTask, load_tasks, local_datasets
from codepretrain.evals.harness.options import HarnessOptions
from codepretrain.evals.harness.plan import plan_work
from codepretrain.evals.harness.render import RenderedTask, render
from codepretrain.evals.harness.task_index import suite_manager
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.progress import no_progress
from codepretrain.model.transformer import Params
from codepretrain.rows.vocabulary import load_vocabulary, tokenizer_path
from codepretrain.train.sharding import make_mesh
from tests.campaigns.harness_tasks import CORPUS, TASKS, words, write_tasks
from tests.campaigns.test_parity import SMALL, draw, export

torch = pytest.importorskip("torch")
lm_eval = pytest.importorskip("lm_eval")

pytestmark = [
    pytest.mark.campaign,
    # Other packages' warnings are not ours to act upon.
    pytest.mark.filterwarnings("default"),
]

WINDOW = 128
SHAPES: dict[str, dict[str, Any]] = {
    "multi-head, tied": {},
    "grouped, untied, qk-norm": {
        "num_kv_heads": 2,
        "tie_embeddings": False,
        "use_qk_norm": True,
    },
    "multi-query, N·H is not D": {"num_kv_heads": 1, "head_dim": 24, "rope_base": 5e5},
}
TOLERANCE = 1e-4  # nats
ROWS: list[str] = []
Instance = Any


@dataclasses.dataclass(frozen=True)
class Sides:
    """Both backends with the same weights."""

    hf: Any
    hf_without_bos: Any
    ours: Any
    model: LanguageModel
    params: Params
    tokenizer: TextTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tasks' files and data, and a data directory with the tokenizer."""
    root = tmp_path_factory.mktemp("harness")
    config = TokenizerConfig(vocab_size=SMALL.vocab_size)
    save_tokenizer(train_tokenizer(CORPUS, config), config, root)
    write_tasks(root / "tasks")
    return root


@pytest.fixture(scope="module", params=SHAPES)
def sides(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: Any) -> Sides:
    from lm_eval.models.huggingface import HFLM

    from codepretrain.evals.harness.lm import HarnessLM

    config = dataclasses.replace(SMALL, **SHAPES[request.param])
    params = draw(config)
    tokenizer = TextTokenizer.load(folder)
    place = tmp_path_factory.mktemp("model")
    exported = export(place, config, params, Path(tokenizer_path(folder)))
    hf = HFLM(str(exported), device="cpu", dtype="float32", max_length=WINDOW, batch_size=16)
    without = HFLM(
        hf.model, tokenizer=hf.tokenizer, max_length=WINDOW, batch_size=16, add_bos_token=False
    )
    model = language_model(config, folder)
    ours = HarnessLM(model, params, tokenizer)
    return Sides(hf, without, ours, model, params, tokenizer)


def language_model(config: ModelConfig, folder: Path) -> LanguageModel:
    vocabulary = load_vocabulary(folder, vocab_size=config.vocab_size)
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    return LanguageModel(config, vocabulary, mesh, batch_size=16, max_seq_len=WINDOW)


@pytest.fixture(scope="module")
def loaded(folder: Path) -> list[LoadedTask]:
    return load_tasks(options(folder), path="config.evals.all")


def options(folder: Path, num_fewshot: int | None = None) -> HarnessOptions:
    tasks = str(folder / "tasks")
    return HarnessOptions(tasks=",".join(TASKS), include_path=tasks, num_fewshot=num_fewshot)


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    yield
    print("\n" + "\n".join(["| requests | number | largest difference |", "|---|---|---|", *ROWS]))


def compare(kind: str, ours: list[float], theirs: list[float]) -> None:
    """Asserts that two lists of Σ log p agree, and notes by how much they differ."""
    differences = np.abs(np.array(ours) - np.array(theirs))
    ROWS.append(f"| {kind} | {len(ours):,} | {differences.max():.1e} nats |")
    # hf sums in float32: a text of 1,000 nats has a rounding error of its own.
    assert np.all(differences < TOLERANCE + np.finfo(np.float32).eps * np.abs(theirs))


def requests(loaded: list[LoadedTask], kind: str) -> list[Instance]:
    rendered = [render(task, num_examples=10**6) for task in loaded]
    return [
        request
        for task in rendered
        for item in task.items
        for request in item.instances
        if request.request_type == kind
    ]


def instances(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    from lm_eval.api.instance import Instance as Request

    return [Request(kind, {}, args, 0, metadata=("edge", n, 1)) for n, args in enumerate(arguments)]


def test_every_likelihood_is_that_of_hf(sides: Sides, loaded: list[LoadedTask]) -> None:
    asked = requests(loaded, "loglikelihood")
    assert len(asked) > 2000
    ours, theirs = sides.ours.loglikelihood(asked), sides.hf.loglikelihood(asked)
    compare("loglikelihood", [total for total, _ in ours], [total for total, _ in theirs])
    assert [greedy for _, greedy in ours] == [greedy for _, greedy in theirs]


def test_of_greedy_continuations_both_say_so(sides: Sides) -> None:
    prompts = [" ".join(words(random.Random(n), 6)) for n in range(200)]
    written = sides.ours.generate_until(
        instances("generate_until", *((prompt, {"max_gen_toks": 2}) for prompt in prompts))
    )
    pairs = [(p, text) for p, text in zip(prompts, written, strict=True) if text.isascii() and text]
    asked = instances("loglikelihood", *pairs)
    ours = [greedy for _, greedy in sides.ours.loglikelihood(asked)]
    assert ours == [greedy for _, greedy in sides.hf.loglikelihood(asked)]
    assert sum(ours) > 10


EDGES = [
    ("", "rivers"),
    ("", " stones and light"),
    (" ", "rivers"),
    (" \n\n ", " a"),
    ("The river  ", "walks"),
    ("The river\n", " under stone"),
    ("Ωmega ☃ naïve 漢字", " — 東京 🎉🎉"),
    ("e\u0301\u0301 \u200b", "\u0301x"),
    ("\t\tdef f(x):\n", "    return x"),
    (" ".join(["river"] * 500), " stone"),
    (" ".join(["light", "under"] * 40), " " + " ".join(["sings", "slowly"] * 25)),
    ("a <pad> b", " c"),
]


def test_edge_cases_of_contexts(sides: Sides) -> None:
    """Empty, white space only, ending in white space, unicode, longer than the window."""
    asked = instances("loglikelihood", *EDGES)
    ours, theirs = sides.ours.loglikelihood(asked), sides.hf.loglikelihood(asked)
    usual = [n for n, (context, _) in enumerate(EDGES) if "<pad>" not in context]
    compare("edge cases", [ours[n][0] for n in usual], [theirs[n][0] for n in usual])
    assert [ours[n][1] for n in usual] == [theirs[n][1] for n in usual]
    # transformers reads text that spells a special token as that token: the known difference.
    assert abs(ours[-1][0] - theirs[-1][0]) > 1e-3


def test_every_rolling_likelihood_is_that_of_hf(sides: Sides, loaded: list[LoadedTask]) -> None:
    """Texts from a few tokens to several windows, the empty one included."""
    asked = [*requests(loaded, "loglikelihood_rolling"), *instances("loglikelihood_rolling", ("",))]
    lengths = [len(sides.tokenizer.encode(request.args[0])) for request in asked]
    assert max(lengths) > 3 * WINDOW
    ours = sides.ours.loglikelihood_rolling(asked)
    compare("rolling", ours, sides.hf_without_bos.loglikelihood_rolling(asked))


def test_hf_itself_counts_a_second_bos(sides: Sides) -> None:
    """What our rolling likelihoods leave out, and `add_bos_token=False` as well."""
    asked = instances("loglikelihood_rolling", ("The river walks",))
    bos, ids = sides.tokenizer.bos, sides.tokenizer.encode("The river walks")
    twice = sides.model.score(sides.params, [[bos]], [[bos, *ids]])
    once = sides.model.score(sides.params, [[bos]], [ids])
    (theirs,) = type(sides.hf).loglikelihood_rolling(sides.hf, asked)
    assert theirs == pytest.approx(float(twice.log_probabilities[0]), abs=TOLERANCE)
    (ours,) = sides.ours.loglikelihood_rolling(asked)
    assert ours == pytest.approx(float(once.log_probabilities[0]), abs=TOLERANCE)


def test_every_greedy_answer_is_that_of_hf(sides: Sides, loaded: list[LoadedTask]) -> None:
    asked = requests(loaded, "generate_until")
    assert len(asked) > 150
    ours, theirs = sides.ours.generate_until(asked), sides.hf.generate_until(asked)
    assert ours == theirs
    ROWS.append(f"| generate_until | {len(asked):,} | none |")
    assert len(set(ours)) > 20


def test_stop_strings_across_tokens(sides: Sides) -> None:
    """Stop strings that begin in one token of the free answer and end in the next."""
    prompts = [" ".join(words(random.Random(n), 5)) for n in range(30)]
    free = sides.ours.generate_until(
        instances("generate_until", *((p, {"max_gen_toks": 24, "until": []}) for p in prompts))
    )
    arguments = []
    for prompt, text in zip(prompts, free, strict=True):
        tokens = sides.tokenizer.encode(text)
        pieces = [sides.tokenizer.decode([token]) for token in tokens]
        at = next((n for n in range(4, len(pieces) - 1) if "�" not in pieces[n] + pieces[n + 1]), 0)
        if at:
            stop = pieces[at][-1] + pieces[at + 1][:1]
            arguments.append((prompt, {"max_gen_toks": 24, "until": [stop, "never occurs"]}))
    assert len(arguments) > 10
    asked = instances("generate_until", *arguments)
    ours = sides.ours.generate_until(asked)
    assert ours == sides.hf.generate_until(asked)
    for (_, settings), text in zip(arguments, ours, strict=True):
        assert settings["until"][0] not in text
    ROWS.append(f"| stop strings | {len(asked):,} | none |")


@pytest.mark.parametrize("num_fewshot", [None, 2])
def test_the_scores_of_tasks_are_those_of_the_harness(
    sides: Sides, folder: Path, num_fewshot: int | None
) -> None:
    found = our_scores(sides, folder, num_fewshot)
    theirs = their_scores(sides, folder, num_fewshot)
    compared = 0
    for task, results in theirs.items():
        for theirs_name, ours_name in NAMES.items():
            if theirs_name in results:
                assert found[f"{task}/{ours_name}"] == pytest.approx(
                    results[theirs_name], rel=1e-4
                ), (task, theirs_name)
                compared += 1
    assert compared >= 9
    ROWS.append(f"| task scores, {num_fewshot or 0} examples | {compared} | < 1e-4 relative |")


NAMES = {
    "acc,none": "accuracy",
    "acc_norm,none": "accuracy_per_character",
    "exact_match,none": "score/exact_match",
    "exact_match,remove_whitespace": "score/exact_match",
    "bits_per_byte,none": "bits_per_byte",
    "perplexity,none": "aggregate/perplexity",
    "word_perplexity,none": "aggregate/word_perplexity",
    "f1,none": "aggregate/f1",
}


def our_scores(sides: Sides, folder: Path, num_fewshot: int | None) -> dict[str, float]:
    loaded = load_tasks(options(folder, num_fewshot), path="config.evals.all")
    tasks: list[RenderedTask] = [render(task, num_examples=10**6) for task in loaded]
    plan = plan_work(tasks, sides.tokenizer, max_seq_len=WINDOW, max_new_tokens=None)
    cache = epath.Path(folder) / "cache"
    evaluation = HarnessEvaluation(sides.model, tasks, plan, excluded=(), settings={}, folder=cache)
    metrics = evaluation(sides.params, no_progress).metrics
    accuracies = {}
    for name, metric in metrics.items():
        # One continuation per item: the harness calls its share of greedy ones "acc".
        accuracies[name.replace("/score/acc", "/accuracy")] = metric.value
    return accuracies


def their_scores(
    sides: Sides, folder: Path, num_fewshot: int | None
) -> dict[str, dict[str, float]]:
    tasks = str(folder / "tasks")
    backend = _Both(sides)
    with local_datasets(None, lambda split: None, include_path=tasks):
        results = lm_eval.simple_evaluate(
            model=backend.lm,
            tasks=list(TASKS),
            num_fewshot=num_fewshot,
            task_manager=suite_manager(tasks),
            bootstrap_iters=0,
        )
    return json.loads(json.dumps(results["results"], default=str))


class _Both:
    """`hf`, with rolling likelihoods of its variant without bos."""

    def __init__(self, sides: Sides) -> None:
        self.lm = sides.hf
        self.lm.loglikelihood_rolling = sides.hf_without_bos.loglikelihood_rolling
