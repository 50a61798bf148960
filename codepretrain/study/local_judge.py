"""Judges a study's completions with a checkpoint of the study, or with an exported model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
from etils import epath
from rich.console import Console

from codepretrain.config.parse import suggestion
from codepretrain.errors import UserError, quoted
from codepretrain.evals.harness.tokenizer import TextTokenizer
from codepretrain.evals.judge import local
from codepretrain.evals.judge.result import JudgeResult
from codepretrain.evals.progress import EvaluationProgress
from codepretrain.evals.resources import Resources
from codepretrain.files import storage
from codepretrain.interop.load import read_leaves
from codepretrain.interop.settings import check_settings
from codepretrain.interop.tensors import WeightsDigest, nested
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.model.transformer import Params
from codepretrain.study.imports import check_tokenizer
from codepretrain.study.phase_params import load_params
from codepretrain.study.win_rates import Pair, write_result
from codepretrain.study.workspace import Workspace
from codepretrain.train.program import Program

_PHASE = re.compile(r"([a-z][a-z0-9_]*)(?:@([0-9]{1,18}))?")


@dataclass(frozen=True)
class LocalModel:
    """Parameters on the devices, and what identifies them."""

    identity: dict[str, Any]
    params: Params


def load_judge(workspace: Workspace, program: Program, name: str) -> LocalModel:
    """Returns the model that `--local` names: PHASE, PHASE@STEP, or the folder of an export.

    Raises:
      UserError: there is no such phase, checkpoint or folder, or the model is not of the study's
        shape or tokenizer.
    """
    found = _PHASE.fullmatch(name)
    if found is None or (found[1] not in workspace.phases and storage.is_dir(name)):
        return _exported(workspace, program, storage.parse(name, name="--local"))
    phase = found[1]
    if phase not in workspace.phases:
        near = suggestion(phase, list(workspace.phases))
        raise UserError(
            f"--local: there is no phase {quoted(phase)}{near}, and no folder of that name"
        )
    step = workspace.phases[phase].num_steps if found[2] is None else int(found[2])
    return _checkpoint(workspace, program, phase, step)


def judge_locally(
    workspace: Workspace,
    *,
    evaluator: str,
    pairs: Sequence[Pair],
    local_name: str,
    console: Console,
) -> dict[epath.Path, JudgeResult]:
    """Judges all pairs and returns each result with its file. `local_name`: see `load_judge`."""
    program = Program(workspace.config)
    model = load_judge(workspace, program, local_name)
    language_model = Resources(workspace.config, workspace.data_dir, program.mesh).language_model
    judge = local.LocalJudge(language_model, TextTokenizer.load(workspace.data_dir))
    written = {}
    for pair in pairs:
        with EvaluationProgress(console, f"{pair.ours.phase} against {pair.reference.phase}") as p:
            judged = judge(model.params, pair.matches, p)
        if judge.num_shortened:
            console.print(
                f"{judge.num_shortened:,} matches do not fit config.data.max_seq_len = "
                f"{workspace.config.data.max_seq_len:,}: both completions were shortened",
                soft_wrap=True,
            )
        path, result = write_result(
            workspace,
            evaluator=evaluator,
            pair=pair,
            judge=local.identity(model.identity),
            judgments=judged,
        )
        written[path] = result
    return written


def _checkpoint(workspace: Workspace, program: Program, phase: str, step: int) -> LocalModel:
    wanted = program.abstract_state.params
    params = load_params(workspace, phase, step, wanted, flag="--local PHASE@STEP")
    identity = {
        "model": f"{phase}@{step}",
        "fingerprint": workspace.fingerprint(phase),
        "step": step,
    }
    return LocalModel(identity, params)


def _exported(workspace: Workspace, program: Program, folder: epath.Path) -> LocalModel:
    if not storage.is_dir(folder):
        raise UserError(f"--local: there is no phase and no folder {folder}")
    config = workspace.config
    check_settings(folder, config.model)
    tokenizer = folder / "tokenizer.json"
    check_tokenizer(
        config,
        workspace.data_dir,
        ids_sha256=ids_digest(tokenizer) if storage.exists(tokenizer) else None,
        source=folder,
    )
    leaves = read_leaves(folder, config.model)
    digest = WeightsDigest()
    for path, value in leaves.items():
        digest.update(path, value.shape, [value])
    shardings = jax.tree.map(lambda leaf: leaf.sharding, program.abstract_state.params)
    params = jax.tree.map(jax.device_put, nested(leaves), shardings)
    return LocalModel({"model": folder.name, "weights_sha256": digest.hexdigest()}, params)
