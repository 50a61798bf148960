"""What is known of an imported checkpoint without opening it.

    <workdir>/imported/<name>/   import.json   checkpoints/0/

`import.json` is written last: it is there when the checkpoint is.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from codepretrain.errors import UserError
from codepretrain.files import jsonl

_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class ImportRecord:
    """weights_sha256: of the parameters (see `tensors.WeightsDigest`), whatever files they were in.

    ids_sha256: of what decides which ids a text becomes; None where the model came without a
    tokenizer. origin: the folder that was read, and where that came from if it says so.
    """

    weights_sha256: str
    ids_sha256: str | None
    num_parameters: int
    origin: Mapping[str, Any]

    def save(self, folder: Path) -> None:
        text = jsonl.encode({"format": _FORMAT, **asdict(self)}) + "\n"
        jsonl.write_atomically(folder / "import.json", text)


def import_folder(workdir: Path, name: str) -> Path:
    """Returns where the imported checkpoint `name` is, or will be."""
    return Path(workdir) / "imported" / name


def load_record(folder: Path) -> ImportRecord | None:
    """Returns the record of an imported checkpoint; None if there is none.

    Raises:
      UserError: the record is damaged, or of another release.
    """
    path = folder / "import.json"
    if not path.exists():
        return None
    try:
        value = jsonl.decode(path.read_text(encoding="utf-8"))
        if value.pop("format") != _FORMAT:
            raise ValueError("written by another release")
        return ImportRecord(**{field.name: value[field.name] for field in fields(ImportRecord)})
    except (ValueError, KeyError) as error:
        raise UserError(
            f"damaged {path}: {error!r}; delete {folder} and import the model again"
        ) from error
