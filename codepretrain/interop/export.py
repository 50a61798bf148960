"""Writes a checkpoint as a `transformers` Cohere model, without `transformers` or torch.

    <output>/  config.json  generation_config.json                     the model's settings
               model.safetensors, or shards and their index            the weights
               tokenizer.json  tokenizer_config.json  special_tokens_map.json
               codepretrain.json                                       its provenance
               README.md                                               the model card
               files.json                                              sizes and hashes of the files

One parameter of all layers and one shard are in memory at a time. The files therefore hold the
tensors parameter by parameter, not layer by layer; readers look them up by name. The same
checkpoint gives the same bytes every time.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from etils import epath

from codepretrain.checkpoint.leaves import CheckpointLeaves
from codepretrain.config.schema import ModelConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.atomic import write_json, write_text
from codepretrain.files.directory import whole_directory
from codepretrain.files.explain import shown
from codepretrain.files.storage import StrPath
from codepretrain.files.writable import check_writable
from codepretrain.interop.settings import to_cohere
from codepretrain.interop.tensor_files import plan_shards, write_tensors
from codepretrain.interop.tensors import WeightsDigest, leaf_shapes, tensor_shapes, to_tensors
from codepretrain.interop.tokenizer_files import special_tokens, write_tokenizer

PROVENANCE, CARD = "codepretrain.json", "README.md"
DTYPES = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The dtype of the weights, and the largest size of a file."""

    dtype: str = "float32"
    max_shard_bytes: int = 2_000_000_000


def check_output(output: StrPath) -> None:
    """Raises UserError if `output` exists or cannot be written."""
    folder = epath.Path(output)
    if storage.is_file(folder) or storage.names(folder):
        raise UserError(f"--output {shown(output)} exists already: remove it, or choose another")
    check_writable(folder, name="--output")


def check_options(options: ExportOptions) -> None:
    """Raises UserError for invalid options."""
    if options.max_shard_bytes <= 0:
        given = options.max_shard_bytes
        raise UserError(f"--max-shard-bytes: expected a positive number, got {given}")
    if options.dtype not in DTYPES:
        raise UserError(f"--dtype: expected one of {', '.join(DTYPES)}, got {options.dtype!r}")


def export_checkpoint(
    leaves: CheckpointLeaves,
    output: StrPath,
    *,
    model: ModelConfig,
    max_seq_len: int,
    tokenizer: StrPath,
    special_names: tuple[str, str],
    options: ExportOptions,
    provenance: Mapping[str, Any],
    card: Callable[[str], str],
) -> None:
    """Writes the folder `output`, whole or not at all.

    Args:
      leaves: an open checkpoint with this model's `params`.
      output: the folder, which must not exist yet, or be empty.
      model: the study's.
      max_seq_len: for the readers of the model.
      tokenizer: the study's `tokenizer.json`.
      special_names: bos and eos in it.
      options: of the files.
      provenance: what else to record.
      card: returns the model card, given the hash of the weights.

    Raises:
      UserError: `output` exists; a setting that Cohere's model does not support.
    """
    check_output(output)
    check_options(options)
    tokens = special_tokens(tokenizer, bos=special_names[0], eos=special_names[1])
    settings = to_cohere(model, tokens=tokens, max_seq_len=max_seq_len, dtype=options.dtype)
    ids = {k: settings[k] for k in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with whole_directory(storage.parse(output, name="--output")) as folder:
        digest = _write_weights(folder, leaves, model, options)
        write_json(folder / "config.json", settings, indent=2)
        write_json(folder / "generation_config.json", {**ids, "do_sample": False}, indent=2)
        write_tokenizer(folder, tokenizer, tokens=tokens, max_seq_len=max_seq_len)
        write_json(folder / PROVENANCE, {**provenance, "weights_sha256": digest}, indent=2)
        write_text(folder / CARD, card(digest))


def _write_weights(
    folder: Path, leaves: CheckpointLeaves, model: ModelConfig, options: ExportOptions
) -> str:
    """Writes the safetensors and returns the hash of the values in them."""
    shapes = leaf_shapes(model)
    stored = {path: s for path, s in leaves.shapes.items() if path.startswith("params/")}
    assert stored == {f"params/{leaf}": shape for leaf, shape in shapes.items()}, (
        f"{leaves.path} holds the parameters of another model"
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
