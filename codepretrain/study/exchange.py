"""Exports and imports checkpoints of a study."""

from functools import partial

from etils import epath
from rich.console import Console

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.config.parse import suggestion
from codepretrain.config.validate import check_import_name
from codepretrain.errors import UserError, quoted
from codepretrain.files import storage
from codepretrain.files.explain import shown
from codepretrain.files.hashing import sha256_file
from codepretrain.files.writable import check_writable
from codepretrain.interop.export import (
    ExportOptions,
    check_options,
    check_output,
    export_checkpoint,
)
from codepretrain.interop.import_record import import_folder
from codepretrain.interop.load import import_model, restore_params
from codepretrain.interop.tokenizer_files import check_is_exported, ids_digest
from codepretrain.model.transformer import Params
from codepretrain.report.card_facts import CardFacts
from codepretrain.report.model_card import model_card
from codepretrain.rows.vocabulary import tokenizer_path
from codepretrain.study.imports import check_tokenizer
from codepretrain.study.model_card import card_facts
from codepretrain.study.provenance import code_version
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import check_identity


def export_phase(
    workspace: Workspace,
    *,
    name: str,
    step: int | None,
    output: epath.Path,
    options: ExportOptions,
    command_line: str,
) -> None:
    """Writes a phase's checkpoint, by default its last, as a `transformers` model with its card.

    Raises:
      UserError: there is no such checkpoint, or it cannot be written as asked.
    """
    if name not in workspace.phases:
        near = suggestion(name, list(workspace.phases))
        raise UserError(f"--phase: there is no phase {quoted(name)}{near}")
    check_options(options)
    if workspace.workdir == output or workspace.workdir in output.parents:
        raise UserError(
            f"--output {shown(output)} is inside --workdir {shown(workspace.workdir)}, which holds "
            "runs and data only: choose another folder"
        )
    check_output(output)
    config, phase = workspace.config, workspace.phases[name]
    step = phase.num_steps if step is None else step
    folder = _checkpoint(workspace, name, step)
    tokenizer = tokenizer_path(workspace.data_dir)
    with open_leaves(folder) as leaves:
        check_identity(leaves.identity, workspace.identity(name), where=folder)
        facts = card_facts(
            workspace,
            name,
            step,
            ledger=leaves.ledger or {},
            tokenizer_sha256=sha256_file(tokenizer),
            command_line=command_line,
        )
        export_checkpoint(
            leaves,
            output,
            model=config.model,
            max_seq_len=config.data.max_seq_len,
            tokenizer=tokenizer,
            special_names=(config.data.tokenizer.bos_token, config.data.tokenizer.eos_token),
            options=options,
            provenance={
                "study": config.name,
                "path": [ancestor.name for ancestor in phase.path],
                "step": step,
                "fingerprint": workspace.fingerprint(name),
                "initial_weights": facts.initial[1] or None if facts.initial else None,
                "tokens": facts.tokens,
                "initialization_seed": phase.path[0].seeds.initialization_seed,
                "data_order_seed": phase.seeds.data_order_seed,
                "code_version": code_version(),
            },
            card=partial(_card, facts, options.dtype),
        )
    Console().print(f"{name} at step {step:,}: written to {output}", soft_wrap=True)


def import_checkpoint(workspace: Workspace, *, source: epath.Path, name: str) -> None:
    """Imports a `transformers` Cohere model for the study's phases to start from.

    Raises:
      UserError: the model, its files, its tokenizer or the name are not suitable.
    """
    config = workspace.config
    check_import_name("--name", name)
    if not storage.is_dir(source):
        raise UserError(f"--model {shown(source)}: there is no such folder")
    tokenizer = source / "tokenizer.json"
    check_is_exported(source)
    check_tokenizer(
        config,
        workspace.data_dir,
        ids_sha256=ids_digest(tokenizer) if storage.exists(tokenizer) else None,
        source=source,
    )
    folder = import_folder(workspace.workdir, name)
    check_writable(folder, name="--workdir")
    record, is_new = import_model(source, folder, config.model)
    done = "imported" if is_new else "already imported:"
    Console().print(
        f"{name}: {done} {record.num_parameters:,} parameters, weights "
        f"{record.weights_sha256[:12]} ({folder})",
        soft_wrap=True,
    )


def imported_params(workspace: Workspace, name: str, abstract_params: Params) -> Params:
    """Returns the parameters of an imported checkpoint, sharded like `abstract_params`.

    Raises:
      UserError: the checkpoint is damaged, or not the one in the phase's fingerprint.
    """
    record = workspace.imports[name]
    assert record is not None, "check_imports runs before training"
    return restore_params(import_folder(workspace.workdir, name), record, abstract_params)


def _card(facts: CardFacts, dtype: str, weights_sha256: str) -> str:
    return model_card(facts, dtype=dtype, weights_sha256=weights_sha256)


def _checkpoint(workspace: Workspace, name: str, step: int) -> epath.Path:
    checkpoints = workspace.run_dir(name) / "checkpoints"
    folder = checkpoints / str(step)
    if not storage.is_dir(folder):
        steps = sorted(int(n) for n in storage.names(checkpoints) if n.isdigit())
        found = ", ".join(f"{step:,}" for step in steps) or "none"
        raise UserError(
            f"phase {name!r} has no checkpoint at step {step:,} in {checkpoints}; available steps: "
            f"{found}"
        )
    return folder
