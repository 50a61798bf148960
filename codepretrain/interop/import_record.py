"""The record of an imported checkpoint; reading it does not open the checkpoint.

    <workdir>/imported/<name>/   import.json   checkpoints/0/

`import.json` is written last: if it exists, the checkpoint is complete.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from etils import epath

from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_json
from codepretrain.files.storage import StrPath
from codepretrain.interop.json_fields import JsonFields

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """What was imported.

    weights_sha256: of the parameters (see `tensors.WeightsDigest`), independent of their files.
    ids_sha256: of everything that determines a text's ids; None if the model has no tokenizer.
    origin: `folder`, which was read, and `export`, if the model was exported from a study.
    """

    weights_sha256: str
    ids_sha256: str | None
    num_parameters: int
    origin: Mapping[str, Any]

    def save(self, folder: StrPath) -> None:
        write_json(epath.Path(folder) / "import.json", {"format": _FORMAT, **asdict(self)})


def import_folder(workdir: StrPath, name: str) -> epath.Path:
    """Returns the folder of the imported checkpoint `name`, which may not exist yet."""
    return epath.Path(workdir) / "imported" / name


def load_record(folder: StrPath) -> ImportRecord | None:
    """Returns the record of an imported checkpoint, None if there is none.

    Raises:
      UserError: the record is damaged, or of another release.
    """
    path = epath.Path(folder) / "import.json"
    remedy = f"delete {folder} and import the model again"
    if not storage.exists(path):
        return None
    file = JsonFields(path, storage.read_json(path, remedy=remedy))
    try:
        if file.values.get("format") != _FORMAT:
            file.fail("format", str(_FORMAT), file.values.get("format"))
        origin = file.object("origin")
        origin.text("folder")
        return ImportRecord(
            weights_sha256=file.text("weights_sha256"),
            ids_sha256=file.text("ids_sha256") if file.is_set("ids_sha256") else None,
            num_parameters=file.whole("num_parameters"),
            origin=origin.values,
        )
    except UserError as error:
        raise UserError(f"damaged {error}; {remedy}") from error
