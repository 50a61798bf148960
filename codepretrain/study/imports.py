"""The imported checkpoints that a study's phases start from."""

from collections.abc import Mapping

from etils import epath

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.interop.import_record import ImportRecord, import_folder, load_record
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.rows.vocabulary import tokenizer_path


def study_imports(config: StudyConfig, workdir: epath.Path) -> dict[str, ImportRecord | None]:
    """Returns the record of each imported checkpoint that the study names; None if missing."""
    names = {p.initial_checkpoint for p in config.phases.values() if p.initial_checkpoint}
    return {name: load_record(import_folder(workdir, name)) for name in sorted(names)}


def import_identities(imports: Mapping[str, ImportRecord | None]) -> dict[str, str]:
    """Returns what identifies each in a fingerprint: the hash of its weights, or else its name."""
    return {
        name: f"weights:{record.weights_sha256}" if record else f"name:{name}"
        for name, record in imports.items()
    }


def check_imports(
    config: StudyConfig,
    imports: Mapping[str, ImportRecord | None],
    workdir: epath.Path,
    data_dir: epath.Path,
) -> None:
    """Checks that the checkpoints that phases start from exist and match the data.

    Raises:
      UserError: a checkpoint is not imported yet, or its tokenizer is not that of the data.
    """
    for name, record in imports.items():
        phase = next(n for n, p in config.phases.items() if p.initial_checkpoint == name)
        if record is None:
            raise UserError(
                f"config.phases.{phase}.initial_checkpoint: there is no {name!r} in "
                f"{import_folder(workdir, name).parent}; import it with codepretrain import "
                f"--name {name} --model DIR, and the same --config and --workdir"
            )
        check_tokenizer(
            config,
            data_dir,
            ids_sha256=record.ids_sha256,
            source=epath.Path(record.origin["folder"]),
        )


def check_tokenizer(
    config: StudyConfig, data_dir: epath.Path, *, ids_sha256: str | None, source: epath.Path
) -> None:
    """Checks that a token id means the same text in the model of `source` and in the study's data.

    The data's tokenizer is the prepared one, or the file that it will be copied from. A model
    without a tokenizer (`ids_sha256` is None) cannot be checked.

    Raises:
      UserError: the tokenizers differ, or the study would train its own.
    """
    if ids_sha256 is None:
        return
    theirs = source / "tokenizer.json"
    given = config.data.tokenizer.path
    ours = epath.Path(tokenizer_path(data_dir))
    if not storage.exists(ours):
        if given is None:
            raise UserError(
                f"config.data.tokenizer.path is not set, so the study would train a tokenizer, but "
                f"the model in {source} has its own; use it: --config.data.tokenizer.path={theirs}"
            )
        ours = epath.Path(given)
    if ids_digest(ours) != ids_sha256:
        raise UserError(
            f"the model in {source} was trained with another tokenizer than the study's data, "
            f"{ours}: the same ids are other texts there"
        )
