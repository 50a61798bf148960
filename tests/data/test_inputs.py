import dataclasses
import io

import pytest
from rich.console import Console

from codepretrain.config.schema import StudyConfig
from codepretrain.data.inputs import check_inputs
from codepretrain.data.prepare import prepare
from codepretrain.data.readers import make_reader
from codepretrain.errors import UserError
from codepretrain.rows.data_dir import reading_settings


def readers(config):
    return {source: make_reader(source, chosen) for source, chosen in config.data.sources.items()}


def test_shards_are_those_of_the_sources_that_are_not_read(prepared_data, make_study, tmp_path):
    config = prepared_data.config
    assert check_inputs(config, prepared_data.data_dir, readers(config)) == {}
    made = readers(make_study())
    shards = check_inputs(make_study(), tmp_path / "data" / "study", made)
    assert shards == {source: reader.shards() for source, reader in made.items()}


def test_all_problems_are_told_at_once(make_study, tmp_path) -> None:
    config = make_study(tokenizer={"path": str(tmp_path / "absent.json")})
    sources = {
        name: dataclasses.replace(chosen, options={"path": str(tmp_path / name)})
        for name, chosen in config.data.sources.items()
    }
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))
    with pytest.raises(UserError) as caught:
        check_inputs(config, tmp_path / "data" / "study", readers(config))
    assert str(caught.value).split("; ") == [
        f"config.data.sources.text: reader 'jsonl': no file matches path '{tmp_path}/text'",
        f"config.data.sources.code: reader 'folder': path '{tmp_path}/code' is not a folder",
        f"config.data.tokenizer.path: there is no file {tmp_path}/absent.json",
    ]


def test_documents_that_were_read_under_other_settings_are_named(prepared_data) -> None:
    config = prepared_data.config
    text = config.data.sources["text"]
    text = dataclasses.replace(text, options={**text.options, "min_document_bytes": 2})
    data = dataclasses.replace(config.data, sources={**config.data.sources, "text": text})
    config = dataclasses.replace(config, data=data)
    assert reading_settings(config, "text") != reading_settings(prepared_data.config, "text")
    message = r"sources.text: .*documents/text-\w{12} was read under other settings; choose another"
    with pytest.raises(UserError, match=message):
        check_inputs(config, prepared_data.data_dir, readers(config))


def test_documents_that_were_read_are_held_to_the_damage_that_is_accepted_now(
    make_study, tmp_path
) -> None:
    path, data_dir = tmp_path / "a.jsonl", tmp_path / "data" / "study"
    path.write_text("".join(f'{{"text": "text {i}"}}\n' for i in range(6)) + "broken\n" * 3)

    def config(**options: float) -> StudyConfig:
        config = make_study(validation_fraction=0.0)
        text = config.data.sources["text"]
        text = dataclasses.replace(text, options={"path": str(path), **options})
        sources = {**config.data.sources, "text": text}
        return dataclasses.replace(config, data=dataclasses.replace(config.data, sources=sources))

    prepare(config(), data_dir, num_workers=1, console=Console(file=io.StringIO()))
    assert check_inputs(config(), data_dir, readers(config())) == {}
    strict = config(max_damaged_share=0.3)
    message = r"^config.data.sources.text: 3 of 9 raw records are damaged, expected at most 0.3"
    with pytest.raises(UserError, match=message):
        check_inputs(strict, data_dir, readers(strict))
