#!/usr/bin/env bash
# Both models at 8192 tokens on one GPU, beside PyTorch; what is right, what is fast, where time goes.
#
#     benchmarks/gpu_campaign.sh [output folder, default gpu_campaign] [python, default python3]
#
# Needs jax with CUDA, flax, optax and, for the peer, torch and transformers. Leaves tables
# (tables.txt), every result (results.jsonl) and profiles for TensorBoard.
# STAGE=kernels|curves|models|policies|profile runs one part.
set -uo pipefail
out=${1:-gpu_campaign}
python=${2:-python3}
stage=${STAGE:-all}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
export XLA_PYTHON_CLIENT_MEM_FRACTION=0.95  # one measurement at a time has the device

measure() {
  "$python" benchmarks/train_step.py --seq-len 8192 --steps 8 --warmup 2 --json "$out/results.jsonl" \
    "$@" 2>&1 | tee -a "$out/tables.txt"
}
curve() { "$python" benchmarks/loss_curve.py "$@" 2>&1 | tee -a "$out/tables.txt"; }
wanted() { [ "$stage" = all ] || [ "$stage" = "$1" ]; }

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv | tee -a "$out/tables.txt"
"$python" -c 'import jax, flax, optax; print("jax", jax.__version__, jax.devices())' \
  | tee -a "$out/tables.txt"

# 1. Each kernel equals the reference on this device, forward and backward; then its speed alone.
if wanted kernels; then
  "$python" benchmarks/loss_kernel.py 2>&1 | tee -a "$out/tables.txt"
  "$python" benchmarks/attention.py --seq-len 8192 2>&1 | tee -a "$out/tables.txt"
fi
# 2. 200 steps: the same bits twice, and the losses of a CPU.
if wanted curves; then
  for dtype in float32 bfloat16; do
    JAX_PLATFORMS=cpu curve --compute-dtype $dtype --json "$out/cpu_$dtype.json"
  done
  curve --json "$out/gpu.json"
  curve --compare "$out/gpu.json" "$out"/cpu_*.json
fi
# 3. Each model at its fastest, and the peer, which is fastest without recomputation if that fits.
if wanted models; then
  measure --size 470m --batch 8 --remat save_products --unroll --loss-token-block 8192 \
    --peer --peer-remat none
  measure --size 2_8b --batch 4 --remat save_products --unroll --loss-token-block 8192 \
    --peer --peer-remat full
fi
# 4. Every policy and kernel at the same batches.
if wanted policies; then
  measure --size 470m --batch 8 --remat full save_attention none offload --kernel cudnn pallas_gpu
  measure --size 2_8b --batch 4 --remat full save_attention offload --kernel cudnn pallas_gpu
fi
# 5. Where the time goes.
if wanted profile; then
  measure --size 470m --batch 8 --remat save_products --trace "$out/profile_470m"
  measure --size 2_8b --batch 4 --remat save_products --trace "$out/profile_2_8b"
fi
echo "tables: $out/tables.txt"
