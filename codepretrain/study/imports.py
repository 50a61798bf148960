"""The imported checkpoints that a study's phases start from."""

from collections.abc import Mapping
from pathlib import Path

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.interop.import_record import ImportRecord, import_folder, load_record
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.rows.vocabulary import tokenizer_path


def study_imports(config: StudyConfig, workdir: Path) -> dict[str, ImportRecord | None]:
    """Returns the record of every imported checkpoint that the study names; None: not there yet."""
    names = {p.initial_checkpoint for p in config.phases.values() if p.initial_checkpoint}
    return {name: load_record(import_folder(workdir, name)) for name in sorted(names)}


def import_identities(imports: Mapping[str, ImportRecord | None]) -> dict[str, str]:
    """Returns what stands for each in a fingerprint: the hash of its weights, or its name."""
    return {
        name: f"weights:{record.weights_sha256}" if record else f"name:{name}"
        for name, record in imports.items()
    }


def check_imports(
    config: StudyConfig, imports: Mapping[str, ImportRecord | None], workdir: Path, data_dir: Path
) -> None:
    """Checks that every phase can start.

    Raises:
      UserError: a checkpoint is not imported yet, or its tokenizer is not that of the data.
    """
    for name, record in imports.items():
        phase = next(n for n, p in config.phases.items() if p.initial_checkpoint == name)
        if record is None:
            raise UserError(
                f"config.phases.{phase}.initial_checkpoint: {name!r} is not in "
                f"{import_folder(workdir, name).parent}: bring it in with codepretrain import "
                f"--name {name} --model DIR, and the same --config and --workdir"
            )
        check_tokenizer(
            config,
            data_dir,
            ids_sha256=record.ids_sha256,
            source=Path(record.origin["folder"]),
        )


def check_tokenizer(
    config: StudyConfig, data_dir: Path, *, ids_sha256: str | None, source: Path
) -> None:
    """Checks that a token id means the same text to the model of `source` and to the study's data.

    The data's tokenizer is the prepared one, or the file that it will be copied from. A model that
    came without a tokenizer (`ids_sha256` is None) cannot be checked.

    Raises:
      UserError: the tokenizers differ, or the study would train one of its own.
    """
    if ids_sha256 is None:
        return
    theirs = source / "tokenizer.json"
    given = config.data.tokenizer.path
    ours = tokenizer_path(data_dir)
    if not ours.exists():
        if given is None:
            raise UserError(
                f"the model in {source} has a tokenizer, and the study would train another one; "
                f"take the model's: --config.data.tokenizer.path={theirs}"
            )
        ours = Path(given)
    if ids_digest(ours) != ids_sha256:
        raise UserError(
            f"the model in {source} was trained with another tokenizer than that of the study's "
            f"data, {ours}: the same ids stand for other texts"
        )
