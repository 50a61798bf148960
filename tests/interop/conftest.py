"""A small model with every dim different, a checkpoint of it, and a tokenizer."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from codepretrain.checkpoint.leaves import open_leaves
from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, ModelConfig
from codepretrain.files.storage import StrPath, is_local
from codepretrain.interop.export import ExportOptions, export_checkpoint
from codepretrain.interop.tensors import leaf_shapes, nested

TINY = ModelConfig(
    vocab_size=50,
    d_model=32,
    num_layers=3,
    num_heads=4,
    num_kv_heads=2,
    head_dim=6,
    d_ff=48,
    rope_base=1234.5,
    norm_epsilon=1e-6,
    logit_scale=0.3,
    use_qk_norm=True,
    tie_embeddings=False,
    compute_dtype="float32",
)
TOKENIZER = """{
 "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
 "added_tokens": [
  {"id": 0, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false,
   "normalized": false, "special": true},
  {"id": 1, "content": "<bos>", "single_word": false, "lstrip": false, "rstrip": false,
   "normalized": false, "special": true},
  {"id": 2, "content": "<eos>", "single_word": false, "lstrip": false, "rstrip": false,
   "normalized": false, "special": true}],
 "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                   "use_regex": true},
 "post_processor": null,
 "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
             "use_regex": true},
 "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
           "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
           "ignore_merges": false,
           "vocab": {"<pad>": 0, "<bos>": 1, "<eos>": 2, "a": 3, "b": 4, "c": 5, "ab": 6},
           "merges": [["a", "b"]]}
}"""

Leaves = dict[str, np.ndarray]


def random_leaves(config: ModelConfig, seed: int = 0) -> Leaves:
    """Returns parameters without a pattern: norm scales that are not one among them."""
    rng = np.random.default_rng(seed)
    return {
        path: (path.endswith("scale") + 0.3 * rng.normal(size=shape)).astype(np.float32)
        for path, shape in leaf_shapes(config).items()
    }


def save_checkpoint(folder: Path, leaves: Leaves) -> Path:
    """Saves parameters as a run would, beside other state; returns the step's folder."""
    checkpoints = Checkpoints(folder, CheckpointPolicy(CheckpointConfig(), frozenset({7})))
    state = {"step": np.int32(7), "params": nested(leaves), "opt_state": {"count": np.int32(7)}}
    checkpoints.save(7, state, ledger={}, identity={"a": 1})
    checkpoints.close()
    return folder / "7"


@pytest.fixture
def tiny() -> Callable[..., ModelConfig]:
    return lambda **changes: dataclasses.replace(TINY, **changes)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_text(TOKENIZER)
    return path


@pytest.fixture
def exported(tmp_path: Path, tokenizer: Path) -> Callable[..., tuple[Path, Leaves]]:
    """Exports random parameters; returns the folder and what went in."""

    def export(
        config: ModelConfig = TINY,
        options: ExportOptions = ExportOptions(),
        name: StrPath = "model",
        run: str | None = None,
    ) -> tuple[Path, Leaves]:
        leaves = random_leaves(config)
        step = tmp_path / f"{run or name}-run" / "7"
        if not step.exists():
            save_checkpoint(step.parent, leaves)
        with open_leaves(step) as opened:
            assert opened.identity == {"a": 1}
            export_checkpoint(
                opened,
                tmp_path / name if is_local(name) else name,
                model=config,
                max_seq_len=64,
                tokenizer=tokenizer,
                special_names=("<bos>", "<eos>"),
                options=options,
                provenance={"study": "tiny", "step": 7},
                card="# a model of {}\n".format,
            )
        return tmp_path / name, leaves

    return export
