"""Generates programs for HumanEval or MBPP and runs their tests. See docs/code_execution.md."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import EvaluatorKind, Request
from codepretrain.evals.harness.libraries import require
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.programs import human_eval, mbpp
from codepretrain.evals.programs.benchmark_data import read_benchmark
from codepretrain.evals.programs.evaluation import CodeGeneration, Settings, Tokenized
from codepretrain.evals.programs.grade import GRADER_VERSION, LIMITS
from codepretrain.evals.programs.metrics import SPECS
from codepretrain.evals.programs.options import CodeGenerationOptions, check_options, ks_of
from codepretrain.evals.programs.problem import Problem, imported_modules
from codepretrain.evals.sandbox.layers import parse_layers
from codepretrain.evals.sandbox.run import SandboxLimits, run_program
from codepretrain.evals.spread import require_on_this_host
from codepretrain.files.hashing import sha256_bytes, sha256_json

if TYPE_CHECKING:
    from codepretrain.evals.evaluator import Evaluation
    from codepretrain.evals.resources import Resources

_IMPORTS = """\
import importlib
for name in {names!r}:
    try:
        importlib.import_module(name)
    except ImportError:
        print(name)
"""
_Request = Request[CodeGenerationOptions]


def _check(request: _Request) -> None:
    check_options(request.options, path=f"{request.path}.options")


def _check_study(request: _Request, config: StudyConfig) -> None:
    longest = config.data.max_seq_len - 1
    if request.options.max_new_tokens >= longest:
        raise UserError(
            f"{request.path}.options.max_new_tokens = {request.options.max_new_tokens} leaves no "
            f"room for a prompt: expected less than {longest} (config.data.max_seq_len - 1)"
        )


def _check_machine(request: _Request) -> None:
    """Raises UserError if this host lacks the tokenizer's package or a layer of the sandbox."""
    require("tokenizers", reader=f'{request.path} (kind "code_generation")')
    _require_sandbox(request)
    _check_imports(_problems(request), path=f"{request.path}.options.data")


def _check_data(request: _Request) -> None:
    """Raises UserError if the benchmark's data is missing or damaged."""
    _problems(request)


def _require_sandbox(request: _Request) -> None:
    path = f"{request.path}.options.sandbox_layers"
    require_on_this_host(parse_layers(request.options.sandbox_layers, path=path), option=path)


def _check_imports(problems: Sequence[Problem], *, path: str) -> None:
    """Raises UserError if tests import what the sandbox lacks; runs one program."""
    needed: dict[str, str] = {}
    for problem in problems:
        for name in imported_modules(problem.setup + problem.tests):
            needed.setdefault(name, problem.id)
    execution = run_program(_IMPORTS.format(names=list(needed)), required_layers=("limits",))
    for name in execution.stdout.decode().split():
        raise UserError(
            f"{path}: the tests of {needed[name]} import {name}, and the sandbox has the standard "
            "library only: leave the problem out, or use another benchmark"
        )


def _problems(request: _Request) -> list[Problem]:
    """Returns the problems to solve, in the order of the file.

    If there are more than `num_examples`, these are drawn by a hash of their ids: the same ones in
    every study, and of two sizes the smaller is part of the larger.
    """
    options, path = request.options, f"{request.path}.options.data"
    records = read_benchmark(options.task, options.data, path=path)
    try:
        if options.task == "human_eval":
            found = human_eval.problems(records, keep_line_break=options.keep_line_break)
        else:
            shots = options.num_fewshot
            shots = len(mbpp.SHOWN_TASKS) if shots is None else shots
            found = mbpp.problems(records, num_fewshot=shots)
    except ValueError as error:
        raise UserError(f"{path}: {options.data} is no {options.task} file: {error}") from error
    ids = [problem.id for problem in found]
    if len(set(ids)) < len(ids):
        raise UserError(f"{path}: {options.data} has a problem twice: give one copy of each")
    drawn = set(sorted(ids, key=lambda id: sha256_bytes(id.encode()))[: request.num_examples])
    return [problem for problem in found if problem.id in drawn]


def _build(request: _Request, resources: "Resources") -> "Evaluation":
    import jax

    _require_sandbox(request)  # on every process: each one runs programs
    settings = _settings(request)
    tokenized = None
    identity = {"items": ""}
    if jax.process_index() == 0:
        tokenized = _tokenized(request, resources)
        identity = _identity(tokenized, settings)
    return CodeGeneration(
        resources.language_model,
        tokenized,
        settings,
        folder=resources.cache_dir,
        identity=identity,
    )


def _settings(request: _Request) -> Settings:
    options, path = request.options, f"{request.path}.options"
    return Settings(
        num_samples=options.num_samples,
        ks=ks_of(options, path=path),
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=options.top_k,
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
        limits=_limits(options),
        required_layers=parse_layers(options.sandbox_layers, path=f"{path}.sandbox_layers"),
    )


def _limits(options: CodeGenerationOptions) -> SandboxLimits:
    return replace(LIMITS, cpu_s=options.cpu_seconds, wall_s=12.0 * options.cpu_seconds)


def _tokenized(request: _Request, resources: "Resources") -> Tokenized:
    """Raises UserError if a prompt does not fit in the model's rows: it would lose its start."""
    problems = _problems(request)
    tokenizer = TextTokenizer.load(resources.data_dir)
    prompts = [[tokenizer.bos, *tokenizer.encode(problem.prompt)] for problem in problems]
    references = [tokenizer.encode(problem.reference) for problem in problems]
    longest = resources.config.data.max_seq_len
    room = request.options.max_new_tokens
    lengths = [
        len(prompt) + max(room, len(reference))
        for prompt, reference in zip(prompts, references, strict=True)
    ]
    if max(lengths) > longest:
        number = lengths.index(max(lengths))
        raise UserError(
            f"{request.path}: {problems[number].id} takes {lengths[number]} tokens, {room} of a "
            f"completion (options.max_new_tokens) or {len(references[number])} of the reference "
            f"included: expected at most {longest} (config.data.max_seq_len); lower "
            "max_new_tokens, show fewer tasks (options.num_fewshot), or raise max_seq_len"
        )
    return Tokenized(problems, prompts, references)


def _identity(tokenized: Tokenized, settings: Settings) -> dict[str, str]:
    contents: Sequence[object] = [problem.content() for problem in tokenized.problems]
    prompts = [
        [problem.prompt, [*problem.stop], [*ids]]
        for problem, ids in zip(tokenized.problems, tokenized.prompts, strict=True)
    ]
    deciding = asdict(settings)
    del deciding["required_layers"]
    return {
        "items": sha256_json({"problems": contents}),
        "prompts": sha256_json({"prompts": prompts}),
        "grader": f"{GRADER_VERSION}, Python {platform.python_version()}",
        "settings": sha256_json(deciding),
    }


EVALUATOR = EvaluatorKind(
    name="code_generation",
    options=CodeGenerationOptions,
    metrics=SPECS,
    build=_build,
    check=_check,
    check_study=_check_study,
    check_machine=_check_machine,
    check_data=_check_data,
    reads_held_out=False,
    execution_options=frozenset({"sandbox_layers", "data"}),
)
