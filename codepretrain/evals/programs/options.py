"""Options of the evaluator `code_generation`, and what is refused before anything is read."""

from dataclasses import dataclass

from codepretrain.errors import UserError
from codepretrain.evals.programs import mbpp
from codepretrain.evals.programs.grade import LIMITS
from codepretrain.evals.sandbox.layers import REQUIRED_LAYERS, parse_layers
from codepretrain.evals.task_items import check_task

TASKS = ("human_eval", "mbpp")
_MAX_SAMPLES = 10_000
_MAX_CPU_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class CodeGenerationOptions:
    """Options.

    Attributes:
      task: "human_eval" or "mbpp".
      data: folder that `codepretrain evaluate --download` has filled, the benchmark's file, or a
        folder of its files: a local path or an object store.
      num_fewshot: solved tasks that an MBPP prompt shows, 0 to 3. The common form is 3-shot, the
        paper's is 0-shot. HumanEval's prompts are 0-shot.
      keep_line_break: whether a HumanEval prompt keeps the line break at its end.
      num_samples: completions of each problem.
      k: the k of pass@k, separated by commas; pass@1 is always reported.
      temperature: 0 is greedy: one sample, the most probable token each time.
      top_p, top_k, seed: of sampling.
      max_new_tokens: of a completion.
      cpu_seconds: CPU time of a program; the time on the wall is bounded by twelve times as much.
      sandbox_layers: the layers of isolation (`sandbox/layers.py`), separated by commas, without
        which no generated program runs. Other layers are used where all hosts grant them.
    """

    task: str
    data: str = ""
    num_fewshot: int | None = None
    keep_line_break: bool = False
    num_samples: int = 1
    k: str = "1"
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0
    max_new_tokens: int = 512
    cpu_seconds: int = LIMITS.cpu_s
    sandbox_layers: str = ",".join(REQUIRED_LAYERS)


def check_options(options: CodeGenerationOptions, *, path: str) -> None:
    """Raises UserError for a value that cannot be used; `path` is that of the options."""
    check_task(options.task, TASKS, kind="code_generation", path=f"{path}.task")
    parse_layers(options.sandbox_layers, path=f"{path}.sandbox_layers")
    _check_prompt(options, path)
    _check_sampling(options, path)
    ks_of(options, path=path)
    if options.max_new_tokens < 1:
        found = options.max_new_tokens
        raise UserError(f"{path}.max_new_tokens: expected 1 or more, found {found}")
    if not 1 <= options.cpu_seconds <= _MAX_CPU_SECONDS:
        raise UserError(
            f"{path}.cpu_seconds: expected 1 to {_MAX_CPU_SECONDS}, found {options.cpu_seconds}"
        )


def _check_prompt(options: CodeGenerationOptions, path: str) -> None:
    if options.task == "human_eval" and options.num_fewshot:
        raise UserError(
            f"{path}.num_fewshot: the prompts of human_eval are 0-shot, found {options.num_fewshot}"
        )
    if options.task == "mbpp" and options.keep_line_break:
        raise UserError(f"{path}.keep_line_break is an option of human_eval: remove it for mbpp")
    most = len(mbpp.SHOWN_TASKS)
    if options.num_fewshot is not None and not 0 <= options.num_fewshot <= most:
        raise UserError(f"{path}.num_fewshot: expected 0 to {most}, found {options.num_fewshot}")


def _check_sampling(options: CodeGenerationOptions, path: str) -> None:
    if not 1 <= options.num_samples <= _MAX_SAMPLES:
        raise UserError(
            f"{path}.num_samples: expected 1 to {_MAX_SAMPLES}, found {options.num_samples}"
        )
    if not 0 <= options.seed < 1 << 32:
        raise UserError(f"{path}.seed: expected 0 to 4294967295, found {options.seed}")
    if options.temperature < 0:
        raise UserError(f"{path}.temperature: expected 0 or more, found {options.temperature:g}")
    if not 0 < options.top_p <= 1:
        raise UserError(f"{path}.top_p: expected a number in (0, 1], found {options.top_p:g}")
    if options.top_k is not None and options.top_k < 1:
        raise UserError(f"{path}.top_k: expected 1 or more, or None, found {options.top_k}")
    if options.temperature:
        return
    if options.num_samples > 1:
        raise UserError(
            f"{path}.num_samples = {options.num_samples}: greedy samples are all the same; set "
            f"{path}.temperature above 0, or num_samples to 1"
        )
    if options.top_p != 1 or options.top_k is not None:
        raise UserError(
            f"{path}.top_p and top_k are of sampling: set {path}.temperature above 0, or remove "
            "them"
        )


def ks_of(options: CodeGenerationOptions, *, path: str) -> list[int]:
    """Returns the k of pass@k in order.

    Raises:
      UserError: no list of whole numbers, or a k above the number of samples.
    """
    parts = [part.strip() for part in options.k.split(",") if part.strip()]
    if not parts or not all(part.isascii() and part.isdecimal() for part in parts):
        raise UserError(
            f"{path}.k: expected whole numbers separated by commas, found {options.k!r:.60}"
        )
    ks = sorted({int(part) for part in parts})
    if not 1 <= ks[0] <= ks[-1] <= options.num_samples:
        wrong = ks[0] if ks[0] < 1 else ks[-1]
        raise UserError(
            f"{path}.k: pass@{wrong} needs {path}.num_samples of {wrong} or more and a k of 1 or "
            f"more, found num_samples = {options.num_samples}"
        )
    return ks
