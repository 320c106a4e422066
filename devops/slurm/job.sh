#!/usr/bin/env bash
#SBATCH --requeue
# What tools/launch.py hands to sbatch, with the target's directives and the command of a node in it.
set -uo pipefail
export METTA_HEAD METTA_NODE_COMMAND
METTA_HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
# shellcheck disable=SC2016  # what it holds is expanded on each node
METTA_NODE_COMMAND='@COMMAND@'

# shellcheck disable=SC2016  # as above
srun --kill-on-bad-exit=0 bash -c 'eval "exec $METTA_NODE_COMMAND"' &
step=$!
# USR1 comes before the time is over: save, stop, queue again. TERM comes from scancel: save and stop.
again=
trap 'again=yes; kill -USR1 "$step"' USR1
trap 'kill -TERM "$step"' TERM
code=0
while kill -0 "$step" 2>/dev/null; do
    wait "$step"
    code=$?
done
if [ -n "$again" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
