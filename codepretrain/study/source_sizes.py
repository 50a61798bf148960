"""The size of each source: counted if it is prepared, else as declared in the config."""

from dataclasses import dataclass

from etils import epath

from codepretrain.config.schema import StudyConfig
from codepretrain.rows.data_dir import settings_hash
from codepretrain.rows.manifest import has_rows, load_manifest, rows_directories


@dataclass(frozen=True, kw_only=True)
class SourceSize:
    """One source's training rows.

    identity: the hash of the rows' manifest, or before they are prepared, of the settings that will
    make them. num_rows: None before they are prepared. num_tokens: rows × max_seq_len, or before
    they are prepared, what the config declares, if anything.
    """

    identity: str
    num_rows: int | None
    num_tokens: int | None

    @property
    def is_prepared(self) -> bool:
        return self.num_rows is not None


def load_source_sizes(config: StudyConfig, data_dir: epath.Path) -> dict[str, SourceSize]:
    """Returns the size of every source of the study.

    Raises:
      UserError: a manifest is damaged or of another version.
    """
    directories = rows_directories(data_dir, sorted(config.data.sources), ["train"])
    return {
        source: _source_size(config, source, directory)
        for (source, _), directory in directories.items()
    }


def _source_size(config: StudyConfig, source: str, directory: epath.Path) -> SourceSize:
    if not has_rows(directory):
        declared = config.data.sources[source].num_tokens
        return SourceSize(
            identity=f"settings:{settings_hash(config, source)}",
            num_rows=None,
            num_tokens=declared,
        )
    manifest = load_manifest(directory, source=source, split="train")
    return SourceSize(
        identity=manifest.hash,
        num_rows=manifest.num_rows,
        num_tokens=manifest.num_rows * manifest.max_seq_len,
    )
