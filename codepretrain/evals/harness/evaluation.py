"""Evaluates parameters on tasks of lm-evaluation-harness, on one process or several.

Process 0 makes the tasks and renders all requests. All processes get them as token ids, compute the
model's answers, and get the result that process 0 grades. So the harness never waits for the model,
and where it fails, all processes raise the same error.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from codepretrain import interrupt
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
        folder: "epath.Path",
    ) -> None:
        """Takes the tasks and their requests.

        Args:
          excluded: tasks that are left out of the averages.
          settings: what else decides the result.
          folder: keeps the answers of an evaluation until it is done.
        """
        self._model = model
        self._tasks = tasks
        self._plan = plan
        self._excluded = excluded
        self._folder = folder
        self._work: Work | None = None
        self.identity = _identity(tasks, settings) if plan else {"items": "", "tasks": ""}

    def __call__(self, params: "Params", progress: Progress) -> EvalResult:
        from codepretrain.hosts import decide, share  # imports JAX

        if self._work is None:  # not when it is built: agreements do not nest
            self._work = share(self._plan.work if self._plan else None)
        graded: list[EvalResult] = []
        with self._model.keeping_answers(params, self._folder, name="harness") as kept:
            answers = compute(self._model, params, self._work, progress)
            decide("the grades of the tasks", lambda: self._grade(answers, graded, progress))
        kept.remove()
        return share(graded[0] if graded else None)

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
        folder=resources.cache_dir,
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
