#!/usr/bin/env bash
# Both models at 8192 tokens on one GPU, every remat policy and attention kernel, beside PyTorch.
#
#     benchmarks/gpu_campaign.sh [output folder, default gpu_campaign] [python, default python3]
#
# Needs jax with CUDA, flax, optax and, for the peer, torch and transformers. Leaves tables
# (tables.txt), every result (results.jsonl) and a profile for TensorBoard.
# STAGE=kernels|models|batches|profile runs one part. Written without a GPU, and not run yet.
set -uo pipefail
out=${1:-gpu_campaign}
python=${2:-python3}
stage=${STAGE:-all}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_MEM_FRACTION=0.92  # one measurement at a time has the device
# Overlaps and fuses matrix products; the latency-hiding scheduler matters from two devices on.
export XLA_FLAGS="--xla_gpu_enable_latency_hiding_scheduler=true ${XLA_FLAGS:-}"

measure() {
  "$python" benchmarks/train_step.py --seq-len 8192 --steps 10 --json "$out/results.jsonl" "$@" \
    2>&1 | tee -a "$out/tables.txt"
}
wanted() { [ "$stage" = all ] || [ "$stage" = "$1" ]; }

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv | tee -a "$out/tables.txt"
"$python" -c 'import jax, flax, optax; print("jax", jax.__version__, jax.devices())' \
  | tee -a "$out/tables.txt"

# 1. Each kernel equals the reference on this device, forward and backward; then its speed alone.
if wanted kernels; then
  "$python" benchmarks/attention.py --seq-len 8192 2>&1 | tee -a "$out/tables.txt"
fi
# 2. Every policy and kernel, and the peer, at one batch per model.
if wanted models; then
  measure --size 470m --batch 8 --remat full save_attention --kernel pallas_gpu cudnn --peer
  measure --size 2_8b --batch 4 --remat full save_attention --kernel pallas_gpu cudnn --peer
  measure --size 470m --batch 4 --remat none offload --kernel cudnn --peer
  measure --size 2_8b --batch 1 --remat none --kernel cudnn --peer
fi
# 3. The batch that fills the device.
if wanted batches; then
  measure --size 470m --batch 16 32 --remat full save_attention --kernel cudnn --peer
  measure --size 2_8b --batch 8 --remat full save_attention --kernel cudnn --peer
fi
# 4. Where the time goes.
if wanted profile; then
  measure --size 470m --batch 8 --remat save_attention --kernel cudnn --trace "$out/profile_470m"
  measure --size 2_8b --batch 4 --remat full --kernel cudnn --trace "$out/profile_2_8b"
fi
echo "tables: $out/tables.txt"
