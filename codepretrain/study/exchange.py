"""Checkpoints of a study to and from other tools' files."""

from pathlib import Path

from rich.console import Console

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.config.parse import suggestion
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check_import_name
from codepretrain.errors import UserError
from codepretrain.files.lock import exclusive
from codepretrain.interop.export import ExportOptions, check_output, export_checkpoint
from codepretrain.interop.import_record import import_folder
from codepretrain.interop.load import import_model, restore_params
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.model.transformer import Params
from codepretrain.rows.data_dir import data_dir
from codepretrain.rows.vocabulary import tokenizer_path
from codepretrain.study.imports import check_tokenizer, import_identities
from codepretrain.study.provenance import code_version
from codepretrain.study.workspace import Workspace
from codepretrain.train.phase_run import check_identity


def export_phase(
    config: StudyConfig,
    workdir: Path,
    *,
    name: str,
    step: int | None,
    output: Path,
    options: ExportOptions,
) -> None:
    """Writes a phase's checkpoint, by default that of its end, as a `transformers` model.

    Raises:
      UserError: there is no such checkpoint, or it cannot be written as asked.
    """
    study = Workspace(config, workdir)
    if name not in study.phases:
        raise UserError(f"there is no phase {name!r}{suggestion(name, list(study.phases))}")
    phase = study.phases[name]
    step = phase.num_steps if step is None else step
    folder = _checkpoint(study, name, step)
    check_output(output)
    initial = phase.path[0].config.initial_checkpoint
    with open_leaves(folder) as leaves:
        check_identity(leaves.identity, study.identity(name), where=folder)
        export_checkpoint(
            leaves,
            output,
            model=config.model,
            max_seq_len=config.data.max_seq_len,
            tokenizer=tokenizer_path(study.data_dir),
            special_names=(config.data.tokenizer.bos_token, config.data.tokenizer.eos_token),
            options=options,
            provenance={
                "study": config.name,
                "path": [ancestor.name for ancestor in phase.path],
                "step": step,
                "fingerprint": study.fingerprint(name),
                "initial_weights": import_identities(study.imports).get(initial or ""),
                "tokens": phase.tokens_before + step * (phase.tokens // phase.num_steps),
                "seed": config.seed,
                "code_version": code_version(),
            },
        )
    Console().print(f"{name} at step {step:,}: written to {output}", soft_wrap=True)


def import_checkpoint(config: StudyConfig, workdir: Path, *, source: Path, name: str) -> None:
    """Reads a `transformers` Cohere model for the study's phases to start from.

    Raises:
      UserError: the model, its files, its tokenizer or the name do not suit.
    """
    check_import_name("--name", name)
    folder = import_folder(workdir, name)
    tokenizer = source / "tokenizer.json"
    check_tokenizer(
        config,
        data_dir(workdir, config),
        ids_sha256=ids_digest(tokenizer) if tokenizer.exists() else None,
        source=source,
    )
    with exclusive(folder):
        record, is_new = import_model(source, folder, config.model)
    done = "imported" if is_new else "imported already:"
    Console().print(
        f"{name}: {done} {record.num_parameters:,} parameters, weights "
        f"{record.weights_sha256[:12]} ({folder})",
        soft_wrap=True,
    )


def imported_params(study: Workspace, name: str, abstract_params: Params) -> Params:
    """Returns the parameters of an imported checkpoint, sharded as `abstract_params` says.

    Raises:
      UserError: it is damaged, or not the one that the phase's fingerprint was made of.
    """
    record = study.imports[name]
    assert record is not None, "check_imports comes before training"
    return restore_params(import_folder(study.workdir, name), record, abstract_params)


def _checkpoint(study: Workspace, name: str, step: int) -> Path:
    checkpoints = study.run_dir(name) / "checkpoints"
    folder = checkpoints / str(step)
    if not folder.is_dir():
        there = sorted(int(p.name) for p in checkpoints.glob("*") if p.name.isdigit())
        listing = f"only of {', '.join(map(str, there))}" if there else "nor of any other"
        raise UserError(
            f"phase {name!r} has no checkpoint of step {step} in {checkpoints}, {listing}"
        )
    return folder
