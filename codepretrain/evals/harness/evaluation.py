"""Evaluates parameters on tasks of lm-evaluation-harness, on one process or several.

Process 0 makes the tasks and renders all requests. All processes get them as token ids, compute the
model's answers, and get the result that process 0 grades. So the harness never waits for the model,
and where it fails, all processes raise the same error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from codepretrain import interrupt
from codepretrain.config.parse import to_dict
from codepretrain.evals.evaluator import EvalResult
from codepretrain.evals.harness.libraries import harness_version, offline, quiet
from codepretrain.evals.harness.load_tasks import load_tasks
from codepretrain.evals.harness.options import HarnessOptions, names
from codepretrain.evals.harness.plan import Plan, plan_work
from codepretrain.evals.harness.render import (
    RenderedTask,
    items_digest,
    prompts_digest,
    render,
)
from codepretrain.evals.harness.result import assemble
from codepretrain.evals.harness.task_scores import grade_task
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.harness.work import Answers, Work, compute
from codepretrain.evals.progress import Progress
from codepretrain.files.hashing import sha256_json
from codepretrain.files.storage import remove

if TYPE_CHECKING:
    from etils import epath

    from codepretrain.evals.evaluator import Request
    from codepretrain.evals.language_model import LanguageModel
    from codepretrain.evals.resources import Resources
    from codepretrain.model.transformer import Params

GRADER = 1  # raise it when this package's grades can change
_PLACES = ("dataset_kwargs", "custom_dataset", "fewshot_config")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # of a function whose source is not known


class HarnessEvaluation:
    """Params → the scores of the tasks.

    `plan` and `tasks` are those of process 0; the other processes have none.
    """

    def __init__(
        self,
        model: "LanguageModel",
        tasks: Sequence[RenderedTask],
        plan: Plan | None,
        *,
        excluded: Sequence[str],
        settings: Mapping[str, Any],
        unfinished: "epath.Path | None" = None,
        model_digest: str = "",
    ) -> None:
        """Takes the tasks and their requests.

        Args:
          excluded: tasks that are left out of the averages.
          settings: what else decides the result.
          unfinished: folder for the answers of an evaluation until it is done; None keeps none.
          model_digest: of what decides an answer beside the parameters and the request.
        """
        self._model = model
        self._tasks = tasks
        self._plan = plan
        self._excluded = excluded
        self._unfinished = unfinished
        self._model_digest = model_digest
        self._work: Work | None = None
        self.identity = _identity(tasks, settings) if plan else {"items": "", "tasks": ""}

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        from codepretrain.hosts import decide, share  # imports JAX

        if self._work is None:  # not when it is built: agreements do not nest
            self._work = share(self._plan.work if self._plan else None)
        graded: list[EvalResult] = []
        with self._kept_answers(params):
            answers = compute(self._model, params, self._work, progress)
            decide("the grades of the tasks", lambda: self._grade(answers, graded, progress))
        return share(graded[0] if graded else None)

    @contextmanager
    def _kept_answers(self, params: "Params") -> Iterator[None]:
        """Keeps every answer as it is computed, until all are graded: a rerun resumes."""
        if self._unfinished is None:
            yield
            return
        from codepretrain.evals.language_model import RequestCache  # imports JAX
        from codepretrain.evals.params_digest import params_digest
        from codepretrain.hosts import decide

        digest = sha256_json({"params": params_digest(params), "model": self._model_digest})
        path = self._unfinished / f"{digest}-harness.jsonl"
        with RequestCache(path, digest) as cache, self._model.caching(cache):
            yield
        decide("that the kept answers are removed", lambda: remove(path))

    def _grade(self, answers: Answers, graded: list[EvalResult], progress: Progress) -> None:
        assert self._plan is not None
        self._plan.give(answers)
        scores = []
        with quiet(), offline():
            for number, task in enumerate(self._tasks):
                interrupt.check_alone()
                progress(number, len(self._tasks), "tasks graded")
                scores.append(grade_task(task))
        graded.append(assemble(scores, excluded=self._excluded))


def build_evaluation(
    request: "Request[HarnessOptions]", resources: "Resources"
) -> HarnessEvaluation:
    """Returns the evaluation; process 0 reads the tasks' data and renders all requests.

    Raises:
      UserError: unknown tasks, data that is missing or damaged, or a task that cannot be rendered.
    """
    import jax

    options, model = request.options, resources.language_model
    excluded = names(options.excluded)
    settings = {
        "num_examples": request.num_examples,
        "max_seq_len": model.max_seq_len,
        "excluded": excluded,
    }
    tasks: list[RenderedTask] = []
    plan = None
    if jax.process_index() == 0:
        tokenizer = TextTokenizer.load(resources.data_dir)
        loaded = load_tasks(options, path=request.path)
        tasks = [render(task, num_examples=request.num_examples) for task in loaded]
        plan = plan_work(
            tasks,
            tokenizer,
            max_seq_len=model.max_seq_len,
            max_new_tokens=options.max_new_tokens,
        )
    return HarnessEvaluation(
        model,
        tasks,
        plan,
        excluded=excluded,
        settings=settings,
        unfinished=resources.cache_dir,
        model_digest=sha256_json(to_dict(resources.config.model)),
    )


def _identity(tasks: Sequence[RenderedTask], settings: Mapping[str, Any]) -> dict[str, str]:
    """Returns the digests and versions of all that decides the result beside the parameters."""
    versions = [f"{task.name} {task.loaded.task.VERSION}" for task in tasks]
    return {
        "items": items_digest(tasks),
        "prompts": prompts_digest(tasks),
        "tasks": sha256_json({task.name: _configuration(task) for task in tasks}),
        "grader": f"{GRADER}; lm_eval {harness_version()}; {', '.join(versions)}",
        "settings": sha256_json(settings),
    }


def _configuration(task: RenderedTask) -> str:
    """Returns a task's settings as text, without the places of its files."""
    config = task.loaded.task.dump_config()
    metadata = config.get("metadata")
    if isinstance(metadata, dict):
        config = {**config, "metadata": {**metadata, "config_source": None}}
    config = {name: config[name] for name in sorted(config) if name not in _PLACES}
    return _ADDRESS.sub("", repr(config))
