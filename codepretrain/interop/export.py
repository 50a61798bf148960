"""Writes a checkpoint as a `transformers` Cohere model. Needs neither `transformers` nor torch.

    <output>/  config.json  generation_config.json                     the model's settings
               model.safetensors, or shards and their index            the weights
               tokenizer.json  tokenizer_config.json  special_tokens_map.json
               codepretrain.json                                       where it comes from

One parameter of all layers and one shard are in memory at a time. The tensors therefore stand in
the files parameter by parameter, not layer by layer; readers go by name. The same checkpoint gives
the same bytes every time.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from codepretrain.checkpoint.leaves import CheckpointLeaves
from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError
from codepretrain.files import jsonl
from codepretrain.files.directory import whole_directory
from codepretrain.interop.files import plan_shards, write_tensors
from codepretrain.interop.settings import to_cohere
from codepretrain.interop.tensors import WeightsDigest, leaf_shapes, tensor_shapes, to_tensors
from codepretrain.interop.tokenizer_files import special_tokens, write_tokenizer

PROVENANCE = "codepretrain.json"
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How to write: the dtype of the weights, and how large a file may become."""

    dtype: str = "float32"
    max_shard_bytes: int = 2_000_000_000


def check_output(output: Path) -> None:
    """Raises UserError when there is something at `output` already."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output {output} is there already: remove it, or choose another")


def export_checkpoint(
    leaves: CheckpointLeaves,
    output: Path,
    *,
    model: ModelConfig,
    max_seq_len: int,
    tokenizer: Path,
    special_names: tuple[str, str],
    options: ExportOptions,
    provenance: Mapping[str, Any],
) -> None:
    """Writes the folder `output`, whole or not at all.

    leaves: an open checkpoint with this model's `params`. tokenizer: the study's
    `tokenizer.json`. special_names: bos and eos in it. provenance: what else to record.

    Raises:
      UserError: `output` is there; a setting that Cohere's model lacks.
    """
    check_output(output)
    if options.max_shard_bytes <= 0:
        given = options.max_shard_bytes
        raise UserError(f"--max-shard-bytes: expected a positive number, got {given}")
    tokens = special_tokens(tokenizer, bos=special_names[0], eos=special_names[1])
    settings = to_cohere(model, tokens=tokens, max_seq_len=max_seq_len, dtype=options.dtype)
    ids = {k: settings[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with whole_directory(output.absolute()) as folder:
        digest = _write_weights(folder, leaves, model, options)
        _write(folder / "config.json", settings)
        _write(folder / "generation_config.json", {**ids, "do_sample": False})
        write_tokenizer(folder, tokenizer, tokens=tokens, max_seq_len=max_seq_len)
        _write(folder / PROVENANCE, {**provenance, "weights_sha256": digest})


def _write_weights(
    folder: Path, leaves: CheckpointLeaves, model: ModelConfig, options: ExportOptions
) -> str:
    """Writes the safetensors and returns the hash of the values in them."""
    shapes = leaf_shapes(model)
    stored = {path: s for path, s in leaves.shapes.items() if path.startswith("params/")}
    assert stored == {f"params/{leaf}": shape for leaf, shape in shapes.items()}, (
        f"{leaves.path} holds another model's parameters"
    )
    dtype = jnp.dtype(options.dtype)
    sizes = {
        name: int(np.prod(one)) * dtype.itemsize
        for leaf, shape in shapes.items()
        for name, one in tensor_shapes(leaf, shape).items()
    }
    digest = WeightsDigest()

    def tensors() -> Iterator[tuple[str, np.ndarray]]:
        for leaf in shapes:
            value = leaves.read(f"params/{leaf}").astype(dtype, copy=False)
            digest.update(leaf, value.shape, value if value.ndim > 1 else [value])
            yield from to_tensors(leaf, value)

    write_tensors(
        folder,
        tensors(),
        shards=plan_shards(sizes, max_bytes=options.max_shard_bytes),
        total_bytes=sum(sizes.values()),
    )
    return digest.hexdigest()


def _write(path: Path, value: Mapping[str, Any]) -> None:
    jsonl.write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
