"""What a source holds, before and after its rows are prepared."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.rows.data_dir import settings_hash
from codepretrain.rows.manifest import rows_directory
from codepretrain.study.source_sizes import load_source_sizes
from tests.configs import small_study


def test_before_preparation_the_settings_identify_a_source_and_the_config_sizes_it(
    tmp_path: Path,
) -> None:
    config = small_study()
    text = dataclasses.replace(config.data.sources["text"], num_tokens=640)
    data = dataclasses.replace(config.data, sources={**config.data.sources, "text": text})
    config = dataclasses.replace(config, data=data)
    sizes = load_source_sizes(config, tmp_path)
    assert list(sizes) == ["code", "text"]
    assert (sizes["text"].num_rows, sizes["text"].num_tokens) == (None, 640)
    assert (sizes["code"].num_rows, sizes["code"].num_tokens) == (None, None)
    assert sizes["code"].identity == f"settings:{settings_hash(config, 'code')}"
    assert not sizes["text"].is_prepared


def test_prepared_rows_are_counted_and_identify_the_source(
    tmp_path: Path, make_source: Callable
) -> None:
    config = small_study()
    store = make_source("text", 9)
    size = load_source_sizes(config, tmp_path)["text"]
    assert (size.num_rows, size.num_tokens) == (9, 9 * 8)
    assert size.identity == store.manifest.hash
    assert size.is_prepared


def test_a_damaged_manifest_is_named(tmp_path: Path, make_source: Callable) -> None:
    config = small_study()
    make_source("text", 9)
    manifest = rows_directory(tmp_path, "text", "train") / "manifest.json"
    manifest.write_text(json.dumps({"source": "text"}))
    with pytest.raises(UserError, match="manifest"):
        load_source_sizes(config, tmp_path)
