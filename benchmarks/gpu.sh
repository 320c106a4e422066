#!/bin/sh
# Everything that needs a CUDA device: tests, recorded episodes, throughput (one line of JSON each on standard output).
set -e
cd "$(dirname "$0")/.."
python=${PYTHON:-.venv/bin/python}
export PYTHONPATH="$PWD"
"$python" -m pytest -m gpu -rs >&2
"$python" tools/check_traces.py --backend cuda "${TRACES:-tests/fixtures/traces}"/*.npz >&2
for envs in 1024 8192 32768; do
  "$python" benchmarks/env_throughput.py --backend cuda --envs "$envs" --json
done
"$python" benchmarks/env_throughput.py --backend cuda --envs 8192 --mission cogsguard_machina_1.basic --json
