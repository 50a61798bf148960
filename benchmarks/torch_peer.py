"""The peer of `train_step.py`: transformers' Cohere model of the same shape, trained by PyTorch.

Float32 parameters and AdamW moments, bfloat16 autocast on a GPU and float32 on a CPU, scaled
dot-product attention, clipping by global norm, the same z-loss. `torch.compile` takes a CPU's whole
program, and on a GPU one layer and one chunk of the loss: the layers are alike, and compiling all
of them takes minutes. Rows are one document each, plain causal attention: PyTorch's fused kernels
take no boundaries, so the peer does no less than its best. From 2³⁰ logits on, the loss goes over
chunks of positions, rematerialized.

    python benchmarks/torch_peer.py --one '{"size": "demo", "batch": 8, "seq_len": 256, …}'
"""

import argparse
import itertools
import json
import resource
import time
from collections.abc import Callable

import torch
from torch.utils.checkpoint import checkpoint
from train_step import model_config
from transformers import CohereConfig, CohereForCausalLM

from codepretrain.config.schema import ModelConfig
from codepretrain.hardware.host_memory import keep_freed_memory

_MAX_LOGITS = 2**30  # 4 GiB in float32
_Z_LOSS = 1e-4


def cohere(config: ModelConfig) -> CohereForCausalLM:
    """Returns the model with random float32 parameters."""
    return CohereForCausalLM(
        CohereConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            layer_norm_eps=config.norm_epsilon,
            logit_scale=config.logit_scale,
            use_qk_norm=config.use_qk_norm,
            tie_word_embeddings=config.tie_embeddings,
            attention_bias=False,
            use_cache=False,
            attn_implementation="sdpa",
        )
    )


def loss_sum(
    hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, scale: float
) -> torch.Tensor:
    """Returns the summed nats and z-loss of some positions [P, D]."""
    logits = scale * (hidden @ weight.to(hidden.dtype).T).float()
    log_z = torch.logsumexp(logits, dim=-1)
    target_logit = logits.gather(-1, targets[:, None])[:, 0]
    return (log_z - target_logit + _Z_LOSS * log_z**2).sum()


LossSum = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, float], torch.Tensor]


def objective(model: CohereForCausalLM, tokens: torch.Tensor, part: LossSum) -> torch.Tensor:
    """Returns the mean loss over rows of tokens [B, T + 1]."""
    inputs, targets = tokens[:, :-1], tokens[:, 1:].reshape(-1)
    hidden = model.model(input_ids=inputs).last_hidden_state.flatten(0, 1)
    weight, scale = model.lm_head.weight, model.config.logit_scale
    chunk = max(1, _MAX_LOGITS // weight.shape[0])
    if len(targets) <= chunk:
        return part(hidden, weight, targets, scale) / len(targets)
    parts = [
        checkpoint(part, h, weight, t, scale, use_reentrant=False)
        for h, t in zip(hidden.split(chunk), targets.split(chunk), strict=True)
    ]
    return torch.stack(parts).sum() / len(targets)


def measure(setting: dict) -> dict:
    """Runs one setting; returns its times in seconds and its memory, as `train_step.measure`."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not setting["returns_memory"]:
        keep_freed_memory()  # as ours does
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    config = model_config(
        setting["size"], layers=setting["layers"], vocabulary=setting["vocabulary"]
    )
    with torch.device(device):
        model = cohere(config).train()
    if setting["remat"] != "none":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    compiled, part = objective, torch.compile(loss_sum, dynamic=False)
    if device == "cuda":
        for layer in model.model.layers:
            layer.compile(dynamic=False)
    else:
        compiled, part = torch.compile(objective), loss_sum
    shape = (setting["batch"] // setting["microbatches"], setting["seq_len"] + 1)
    tokens = torch.randint(3, config.vocab_size, shape, device=device)

    def step() -> torch.Tensor:
        for _ in range(setting["microbatches"]):
            with torch.autocast("cuda", torch.bfloat16, enabled=device == "cuda"):
                loss = compiled(model, tokens, part)
            (loss / setting["microbatches"]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss

    started, ends, before = time.perf_counter(), [], None
    for _ in range(setting["warmup"] + setting["steps"] + 1):
        loss = step()
        if before is not None:
            before.synchronize()  # the previous step: one is in flight, as in ours
        if device == "cuda":
            before = torch.cuda.Event()
            before.record()
        ends.append(time.perf_counter())
    seconds = [end - start for start, end in itertools.pairwise(ends)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "by": "torch",
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "num_devices": 1,
        "parameters": sum(p.numel() for p in model.parameters()),
        "compile_s": ends[setting["warmup"]] - started,  # the first steps compile
        "seconds": seconds[setting["warmup"] :],
        "loss": loss.item(),
        "peak_bytes": torch.cuda.max_memory_allocated() if device == "cuda" else peak,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", required=True, help="a setting of train_step.py, as JSON")
    print(json.dumps(measure(json.loads(parser.parse_args().one))))


if __name__ == "__main__":
    main()
