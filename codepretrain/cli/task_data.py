"""The flags `--download` and `--data` of `evaluate`: the data of benchmarks."""

import argparse
import dataclasses
from typing import Any

from rich.console import Console

from codepretrain.cli.flags import PathOnce
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.evaluator import Request
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.evals.registry import evaluator_request
from codepretrain.files.storage import StrPath
from codepretrain.files.writable import check_writable

_KINDS = ("harness", "code_generation")  # the evaluators with an option `data`


def add_flags(evaluate: argparse.ArgumentParser) -> None:
    """Adds the flags to the command."""
    evaluate.add_argument(
        "--download",
        action=PathOnce,
        metavar="DIR",
        help="fetch the data of the study's benchmarks into DIR, and evaluate nothing",
    )
    evaluate.add_argument(
        "--data",
        action=PathOnce,
        metavar="DIR",
        help="read the data of benchmarks from DIR, without network",
    )


def fetch(config: StudyConfig, folder: StrPath) -> int:
    """Fetches the data of all tasks of a study.

    Raises:
      UserError: some of it could not be fetched; everything else is there.
    """
    requests: dict[str, dict[str, Request[Any]]] = {kind: {} for kind in _KINDS}
    for name, chosen in config.evals.items():
        if chosen.kind in requests:
            requests[chosen.kind][name] = evaluator_request(name, chosen)[1]
    if not any(requests.values()):
        raise UserError(
            "--download: no evaluation of the study has tasks to fetch (of kind "
            '"harness" or "code_generation")'
        )
    check_writable(folder, name="--download")
    from codepretrain.evals.harness.download import download, summary
    from codepretrain.evals.programs.benchmark_data import BENCHMARKS

    tasks = dict.fromkeys(request.options.task for request in requests["code_generation"].values())
    datasets = {task: (BENCHMARKS[task].reference, BENCHMARKS[task].license) for task in tasks}
    console = Console(stderr=True)
    with EvaluationProgress(console, "download") as progress:
        problems = download(requests["harness"], folder, progress, datasets=datasets)
    console.print(summary(folder), markup=False, highlight=False, soft_wrap=True)
    if problems:
        raise UserError(
            f"{len(problems)} tasks could not be fetched, all others were: {'; '.join(problems)}. "
            "Place their files by hand (docs/evaluation.md), or leave the tasks out"
        )
    return 0


def with_data(config: StudyConfig, folder: StrPath | None) -> StudyConfig:
    """Returns the study with the option `data` of its evaluations set to `folder`, if given."""
    if folder is None:
        return config

    def changed(chosen: EvaluatorConfig) -> EvaluatorConfig:
        if chosen.kind not in _KINDS:
            return chosen
        return dataclasses.replace(chosen, options={**chosen.options, "data": str(folder)})

    evals = {name: changed(chosen) for name, chosen in config.evals.items()}
    if evals == config.evals:
        raise UserError("--data: no evaluation of the study reads data of tasks (config.evals)")
    return dataclasses.replace(config, evals=evals)
