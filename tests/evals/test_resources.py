from pathlib import Path

import pytest
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.resources import Resources


def test_a_source_that_holds_nothing_out_is_an_error(
    config: StudyConfig, data_dir: Path, mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "codepretrain.rows.store.RowStore.__len__",
        lambda store: 0 if store.manifest.source == "markup" else 5,
    )
    with pytest.raises(UserError, match=r"fraction = 0\.\d+ holds out no rows of markup: raise it"):
        _ = Resources(config, data_dir, mesh).held_out_rows
