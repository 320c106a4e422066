#!/usr/bin/env bash
# Train beside a frozen policy: recipes/dual_policy_checkpoint.sh [URI [STEPS [WORKERS [key=value ...]]]]
# Paths are those of the folder that it is started in; the run lies in train_dir there.
# METTA_HOURLY_COST, what the machine costs per hour, shows the cost of the run.
set -euo pipefail
root="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

uri="${1:-wandb://metta-research/metta/model/yudhister.recipes.arena.2x8.efficiency_baseline.07-24-00-18:latest}"
steps="${2:-10_000_000_000}"
workers="${3:-4}"

exec python "$root/tools/train.py" \
  +user=dual_policy_checkpoint_example \
  run="dual_policy.$(date +%Y%m%d.%H%M%S)" \
  trainer.dual_policy.checkpoint_npc.checkpoint_path="$uri" \
  trainer.total_timesteps="$steps" \
  trainer.num_workers="$workers" \
  "${@:4}"
