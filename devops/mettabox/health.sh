#!/usr/bin/env bash
# Whether the container can train: the GPU answers, and the folder of runs can be written and has space left.
set -euo pipefail
runs=${METTA_RUNS:-/workspace/metta/train_dir}
least=${METTA_LEAST_MB:-1024}

if [ -z "${METTA_NO_GPU:-}" ]; then
    timeout 20 nvidia-smi --query-gpu=name --format=csv,noheader >/dev/null || { echo "no GPU answers"; exit 1; }
fi
probe=$(mktemp "$runs/.health-XXXXXX") || { echo "$runs cannot be written"; exit 1; }
rm -f "$probe"
free=$(df --output=avail -m "$runs" | tail -n 1 | tr -d ' ')
[ "$free" -ge "$least" ] || { echo "$runs: $free MB left, less than $least MB"; exit 1; }
echo "well: $free MB left in $runs"
