import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.config.schema import SourceConfig
from codepretrain.errors import UserError
from codepretrain.rows.data_dir import data_dir, is_prepared, require_prepared, settings_hash


def test_hash_sees_what_changes_rows_and_nothing_else(make_study) -> None:
    config = make_study()
    text = config.data.sources["text"]
    rows = {
        "max_seq_len": 32,
        "packing": "concatenate",
        "validation_fraction": 0.1,
        "tokenizer": {"vocab_size": 300},
        "sources": {"text": dataclasses.replace(text, options={"path": "other"})},
    }
    for field, value in rows.items():
        other = make_study(**{field: value})
        assert settings_hash(other, "text") != settings_hash(config, "text"), field
        assert data_dir(Path(), other) != data_dir(Path(), config), field
    same = make_study(
        rows_per_shard=7,
        sources={
            name: dataclasses.replace(source, num_tokens=5, max_epochs=1.0)
            for name, source in reversed(config.data.sources.items())
        },
    )
    same = dataclasses.replace(same, seed=3, name="other", phases={})
    assert settings_hash(same, "text") == settings_hash(config, "text")
    assert data_dir(Path("w"), same) == data_dir(Path("w"), config)
    assert data_dir(Path("w"), config).parent == Path("w/data")


def test_a_sources_hash_does_not_depend_on_the_others_but_the_place_does(make_study) -> None:
    config = make_study()
    fewer = make_study(sources={"text": config.data.sources["text"]})
    assert settings_hash(fewer, "text") == settings_hash(config, "text")
    assert data_dir(Path(), fewer) != data_dir(Path(), config)
    kind = make_study(
        sources={**config.data.sources, "text": SourceConfig(reader="jsonl", kind="code")}
    )
    assert data_dir(Path(), kind) != data_dir(Path(), config)


def test_missing_data_says_so(make_study, tmp_path) -> None:
    config = make_study()
    assert not is_prepared(config, tmp_path)
    with pytest.raises(UserError, match=r"no prepared rows at .*codepretrain prepare"):
        require_prepared(config, tmp_path)


def test_prepared_data_is_given_by_source_and_split(prepared_data) -> None:
    assert is_prepared(prepared_data.config, prepared_data.data_dir)
    manifests = require_prepared(prepared_data.config, prepared_data.data_dir)
    assert list(manifests) == [
        ("code", "train"),
        ("code", "validation"),
        ("text", "train"),
        ("text", "validation"),
    ]
    assert manifests == prepared_data.data.rows


def test_it_imports_nothing_heavy() -> None:
    program = (
        "import sys, codepretrain.rows.data_dir, codepretrain.data.prepared\n"
        "heavy = {'tensorflow', 'seqio', 'tokenizers', 'jax'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
