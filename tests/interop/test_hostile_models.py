"""Model folders from elsewhere, damaged or hostile: one UserError that names file and field."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codepretrain.errors import UserError
from codepretrain.interop.export import ExportOptions
from codepretrain.interop.load import import_model
from codepretrain.interop.tokenizer_files import ids_digest, special_tokens

Change = Callable[[Path], object]
CONFIG, INDEX, WEIGHTS = "config.json", "model.safetensors.index.json", "model.safetensors"
NORM = "model.norm.weight"


def sets(name: str, **values: Any) -> Change:
    """Sets fields of a JSON file."""
    return lambda folder: puts(name, {**json.loads((folder / name).read_text()), **values})(folder)


def lacks(name: str, field: str) -> Change:
    def change(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        del value[field]
        puts(name, value)(folder)

    return change


def puts(name: str, value: Any) -> Change:
    return lambda folder: (folder / name).write_text(json.dumps(value))


def writes(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def maps(**weights: Any) -> Change:
    """Changes entries of the index's weight map."""

    def change(folder: Path) -> None:
        value = json.loads((folder / INDEX).read_text())
        value["weight_map"].update(weights.get("to", {NORM: weights.get("norm")}))
        puts(INDEX, value)(folder)

    return change


def stores(name: str, value: np.ndarray | None) -> Change:
    """Replaces or removes a tensor of the single file."""

    def change(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        tensors.pop(name)
        save_file(tensors | ({} if value is None else {name: value}), folder / WEIGHTS)

    return change


def header(change: Callable[[dict], object]) -> Change:
    """Changes the header of the single file, whose values stay."""

    def write(folder: Path) -> None:
        content = (folder / WEIGHTS).read_bytes()
        (size,) = struct.unpack("<Q", content[:8])
        value = json.loads(content[8 : 8 + size])
        change(value)
        text = json.dumps(value).encode()
        body = content[8 + size :]
        (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + body)

    return write


def cuts(name: str, keep: int) -> Change:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def replaces_by_folder(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def loops(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(folder / name)

    return change


SETTINGS: list[tuple[Change, str]] = [
    (sets(CONFIG, hidden_size=None), "config.json: hidden_size: expected a whole number, at leas"),
    (sets(CONFIG, hidden_size="32"), "config.json: hidden_size: expected a whole number, at leas"),
    (sets(CONFIG, hidden_size=[32]), "config.json: hidden_size: expected a whole number, at leas"),
    (sets(CONFIG, hidden_size=-32), "config.json: hidden_size: expected a whole number, at least"),
    (sets(CONFIG, hidden_size=32.5), "config.json: hidden_size: expected a whole number, at leas"),
    (sets(CONFIG, hidden_size=True), "config.json: hidden_size: expected a whole number, at leas"),
    (sets(CONFIG, hidden_size=10**30), "config.json: hidden_size: expected a whole number, at l"),
    (lacks(CONFIG, "hidden_size"), "config.json: hidden_size is missing: expected a whole number"),
    (sets(CONFIG, num_attention_heads=0), "num_attention_heads: expected a whole number, at lea"),
    (sets(CONFIG, num_attention_heads={}), "num_attention_heads: expected a whole number, at le"),
    (sets(CONFIG, num_attention_heads=5, head_dim=None), "hidden_size: expected a multiple of num"),
    (sets(CONFIG, num_key_value_heads=0), "num_key_value_heads: expected a whole number, at lea"),
    (sets(CONFIG, num_key_value_heads="2"), "num_key_value_heads: expected a whole number, at l"),
    (sets(CONFIG, head_dim=[]), "config.json: head_dim: expected a whole number, at least 1, fou"),
    (sets(CONFIG, num_hidden_layers=None), "num_hidden_layers: expected a whole number, at leas"),
    (sets(CONFIG, vocab_size="big"), 'vocab_size: expected a whole number, at least 1, found "big'),
    (sets(CONFIG, rope_parameters=[1]), "rope_parameters: expected an object, found [1]"),
    (sets(CONFIG, rope_parameters="default"), 'rope_parameters: expected an object, found "defau'),
    (
        sets(CONFIG, rope_parameters=None, rope_scaling=[]),
        "rope_scaling: expected an object, found",
    ),
    (sets(CONFIG, rope_parameters={"rope_type": 3}), "rope_parameters.rope_type: expected text,"),
    (sets(CONFIG, rope_parameters={"rope_theta": "x"}), "rope_parameters.rope_theta: expected a p"),
    (sets(CONFIG, rope_parameters={"rope_theta": -1}), "rope_parameters.rope_theta: expected a po"),
    (sets(CONFIG, rope_parameters={"partial_rotary_factor": "a"}), "partial_rotary_factor: expect"),
    (sets(CONFIG, layer_norm_eps="1e-5"), 'layer_norm_eps: expected a positive number, found "1e'),
    (sets(CONFIG, logit_scale=float("nan")), "logit_scale: expected a positive number, found nan"),
    (sets(CONFIG, logit_scale=float("inf")), "logit_scale: expected a positive number, found inf"),
    (sets(CONFIG, tie_word_embeddings="no"), "tie_word_embeddings: expected true or false, found"),
    (sets(CONFIG, use_qk_norm=1), "use_qk_norm: expected true or false, found 1"),
    (sets(CONFIG, model_type=["cohere"]), "model_type is ['cohere']; only models with model_type"),
    (lacks(CONFIG, "model_type"), "model_type is None; only models with model_type = 'cohere'"),
    (sets(CONFIG, attention_bias=0), "attention_bias is 0; only models with attention_bias = Fal"),
    (puts(CONFIG, []), "config.json is damaged: expected a JSON object, found []"),
    (puts(CONFIG, None), "config.json is damaged: expected a JSON object, found null"),
    (puts(CONFIG, {}), "config.json: model_type is None"),
    (writes(CONFIG, b""), "config.json is damaged: not JSON"),
    (writes(CONFIG, b"\xff\xfe"), "config.json is not UTF-8 text"),
    (writes(CONFIG, b"[" * 100_000), "config.json is damaged: not JSON"),
    (replaces_by_folder(CONFIG), "config.json"),
    (loops(CONFIG), "config.json"),
]
FILES: list[tuple[Change, str]] = [
    (cuts(WEIGHTS, 4), "damaged {folder}/model.safetensors: "),
    (cuts(WEIGHTS, 100), "damaged {folder}/model.safetensors: "),
    (cuts(WEIGHTS, 0), "damaged {folder}/model.safetensors: "),
    (writes(WEIGHTS, b"\xff" * 100), "damaged {folder}/model.safetensors: "),
    (writes(WEIGHTS, struct.pack("<Q", 2) + b"[]"), "damaged {folder}/model.safetensors: "),
    (writes(WEIGHTS, struct.pack("<Q", 2) + b"{}"), "missing: "),
    (header(lambda h: h[NORM].update(shape=[31])), "damaged {folder}/model.safetensors: "),
    (header(lambda h: h[NORM].update(shape=["x"])), "damaged {folder}/model.safetensors: "),
    (header(lambda h: h[NORM].update(shape=[2**62, 8])), "damaged {folder}/model.safetensors: "),
    (header(lambda h: h[NORM].update(dtype="Q4")), "damaged {folder}/model.safetensors: "),
    (header(lambda h: h[NORM].update(data_offsets=[0, 1])), "damaged {folder}/model.safetensors"),
    (stores(NORM, None), "missing: model.norm.weight"),
    (stores(NORM, np.array(1, np.float32)), "model.norm.weight is [] there and [32] here"),
    (stores(NORM, np.ones((1, 32), np.float32)), "model.norm.weight is [1, 32] there and [32] her"),
    (stores(NORM, np.zeros(0, np.float32)), "model.norm.weight is [0] there and [32] here"),
    (stores(NORM, np.ones(32, np.int8)), "model.norm.weight is I8; expected one of F32, BF16, F1"),
    (stores(NORM, np.ones(32, np.float64)), "model.norm.weight is F64; expected one of F32, BF16"),
    (stores(NORM, np.full(32, np.inf, np.float32)), "model.norm.weight holds values that are not"),
    (replaces_by_folder(WEIGHTS), "model.safetensors"),
    (loops(WEIGHTS), "holds neither model.safetensors.index.json nor model.safetensors"),
    (puts("codepretrain.json", []), "codepretrain.json is damaged: expected a JSON object"),
    (puts("codepretrain.json", {}), "codepretrain.json: weights_sha256 is missing: expected text"),
    (puts("codepretrain.json", {"weights_sha256": 3}), "weights_sha256: expected text, found 3"),
    (puts("tokenizer.json", {}), "tokenizer.json: model is missing: expected an object"),
    (puts("tokenizer.json", []), "tokenizer.json is damaged: expected a JSON object, found []"),
    (sets("tokenizer.json", model=[]), "tokenizer.json: model: expected an object, found []"),
    (sets("tokenizer.json", added_tokens={}), "tokenizer.json: added_tokens: expected a list, fou"),
    (sets("tokenizer.json", added_tokens=[3]), "tokenizer.json: added_tokens[0]: expected an obj"),
    (sets("tokenizer.json", added_tokens=[{}]), "tokenizer.json: added_tokens[0].id is missing"),
    (
        sets("tokenizer.json", added_tokens=[{"id": -1}]),
        "added_tokens[0].id: expected a whole numb",
    ),
    (sets("tokenizer.json", added_tokens=[{"id": 1}]), "added_tokens[0].content is missing: expec"),
    (sets("tokenizer.json", model={"merges": 3}), "model.merges: expected a list, found 3"),
    (sets("tokenizer.json", model={"merges": [3]}), "model.merges[0]: expected two texts, found 3"),
    (
        sets("tokenizer.json", model={"merges": [["a"]]}),
        "model.merges[0]: expected two texts, foun",
    ),
    (sets("tokenizer.json", model={"x": float("nan")}), "tokenizer.json is damaged"),
]
SHARDED: list[tuple[Change, str]] = [
    (puts(INDEX, []), "index.json is damaged: expected a JSON object, found []"),
    (puts(INDEX, {}), "index.json: weight_map is missing: expected an object"),
    (puts(INDEX, {"weight_map": 3}), "index.json: weight_map: expected an object, found 3"),
    (puts(INDEX, {"weight_map": {}}), "missing: "),
    (maps(norm=3), f"index.json: weight_map.{NORM}: expected text, found 3"),
    (maps(norm=None), f"index.json: weight_map.{NORM}: expected text, found null"),
    (maps(norm="../outside.safetensors"), "expected the name of a file in the same folder, found"),
    (maps(norm="/etc/passwd"), "expected the name of a file in the same folder, found"),
    (maps(norm=""), "expected the name of a file in the same folder, found"),
    (maps(norm=".."), "expected the name of a file in the same folder, found"),
    (maps(norm="none.safetensors"), "lacks none.safetensors, which model.safetensors.index.json"),
    (maps(norm="config.json"), "damaged {folder}/config.json: "),
    (maps(to={"x" * 5000: "config.json"}), "damaged {folder}/config.json: "),
    (
        lambda folder: maps(to={"model.extra": min(folder.glob("model-*")).name})(folder),
        "lacks 'model.extra', which",
    ),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {"root": tmp_path_factory.mktemp("whole")}


@pytest.fixture
def model_folder(
    request: pytest.FixtureRequest, whole: dict[str, Path], tmp_path: Path
) -> Callable[[bool], Path]:
    """Copies an exported model, which is exported once, into a folder to break."""

    def copy(sharded: bool) -> Path:
        name = "sharded" if sharded else "single"
        if name not in whole:
            exported = request.getfixturevalue("exported")
            size = 8_000 if sharded else 2_000_000_000
            folder, _ = exported(options=ExportOptions(max_shard_bytes=size), name=name)
            whole[name] = Path(shutil.move(folder, whole["root"] / name))
        return Path(shutil.copytree(whole[name], tmp_path / "broken"))

    return copy


@pytest.mark.parametrize(
    ("number", "sharded"),
    [(i, False) for i in range(len(SETTINGS) + len(FILES))]
    + [(i, True) for i in range(len(SHARDED))],
)
def test_each_is_named(
    number: int, sharded: bool, model_folder: Callable[[bool], Path], tiny: Any, tmp_path: Path
) -> None:
    folder = model_folder(sharded)
    change, message = (SHARDED if sharded else SETTINGS + FILES)[number]
    change(folder)
    with pytest.raises(UserError) as error:
        import_model(folder, tmp_path / "imported", tiny())
    assert message.format(folder=folder) in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "tokenizer.json: model is missing"),
        ({"model": {}}, "tokenizer.json: model.vocab is missing: expected an object"),
        ({"model": {"vocab": []}}, "tokenizer.json: model.vocab: expected an object, found []"),
        ({"model": {"vocab": {"<bos>": "1"}}}, "model.vocab.<bos>: expected a whole number"),
        ({"model": {"vocab": {"<bos>": 1}}}, "has no token '<eos>'"),
        (
            {
                "model": {"vocab": {"<bos>": 1, "<eos>": 2}},
                "added_tokens": [{"id": 0, "content": "p", "special": 1}],
            },
            "added_tokens[0].special: expected true or false, found 1",
        ),
    ],
)
def test_a_tokenizer_to_export(tmp_path: Path, value: Any, message: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(value))
    with pytest.raises(UserError) as error:
        special_tokens(path, bos="<bos>", eos="<eos>")
    assert message in str(error.value)


def test_a_missing_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no tokenizer\.json"):
        ids_digest(tmp_path / "tokenizer.json")
