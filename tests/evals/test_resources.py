import dataclasses
import tempfile
from pathlib import Path

import pytest
from etils import epath
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.resources import Resources
from codepretrain.files.atomic import write_bytes


def test_a_source_that_holds_nothing_out_is_an_error(
    config: StudyConfig, data_dir: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "codepretrain.rows.store.RowStore.__len__",
        lambda store: 0 if store.manifest.source == "markup" else 5,
    )
    with pytest.raises(UserError, match=r"fraction = 0\.\d+ holds out no rows of markup: raise it"):
        Resources(config, data_dir, mesh).held_out_rows(list(config.data.sources))
    others = [source for source in config.data.sources if source != "markup"]
    assert set(Resources(config, data_dir, mesh).held_out_rows(others)) == set(others)


def test_held_out_rows_of_an_object_store_are_copied_up_to_the_configured_size(
    config: StudyConfig,
    data_dir: Path,
    mesh: Mesh,
    memory: epath.Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for path in data_dir.rglob("*"):
        if path.is_file():
            write_bytes(memory / path.relative_to(data_dir), path.read_bytes())
    execution = dataclasses.replace(config.execution, row_cache_bytes=101)
    small = dataclasses.replace(config, execution=execution)
    with pytest.raises(UserError, match=r"may hold 101 bytes, .*config.execution.row_cache_bytes"):
        Resources(small, memory, mesh).held_out_rows(list(config.data.sources))
    execution = dataclasses.replace(config.execution, row_cache_bytes=2**20)
    large = dataclasses.replace(config, execution=execution)
    found = Resources(large, memory, mesh).held_out_rows(list(config.data.sources))
    assert set(found) == set(config.data.sources)
