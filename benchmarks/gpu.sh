#!/bin/sh
# What a CUDA device has to show, in one go of at most BUDGET seconds (540): facts, tests, recorded episodes,
# environments, training, cloning. No stage stops those after it.
#
#   benchmarks/gpu.sh                  on the machine with the device; results in $OUT, else in ./gpu-results
#   benchmarks/gpu.sh --rehearse       the same on the processor with tiny sizes, to see that all of it runs
#   benchmarks/gpu.sh --prepare [3.12] where there is a network: packages that the other machine lacks, for its
#                                      Python, into the ignored folder .gpu, which has to travel with the working tree
#
# Of $OUT eight files come back: results.jsonl (a line for each figure and each step), a log for each stage, and the
# clone's metrics and weights. `python benchmarks/gpu_report.py FOLDER` makes tables of them.
set -u

# The run that is cloned in the time that remains, a word a line.
clone='recipes.experiment.cogsguard.train
mission=cogsguard_arena.basic
agent=map
teacher={mode: sliced_cloner, policy_uri: "metta://policy/cogsguard?miner=4&aligner=3&scrambler=1&shared=false&vibes=0&rival=0&depot=0&explore=0&patrol=1000", teacher_led_proportion: 0.5, student_led_proportion: 0.5, kwargs: {temperature: {schedule: linear, from: 1, to: 2.5, over: [0, 10_000_000]}}}
checkpointer=newest'
clone_sizes='trainer.total_timesteps=5_000_000_000
trainer.batch_size=131072
trainer.minibatch_size=4096
env.backend=cuda'

# Nets that are trained: preset, environments of 8 agents (64 steps of each make a batch), agent-steps per gradient step.
nets='lstm 4096 65536
mingru 4096 65536
tutorial 4096 32768
vit 2048 16384
machina1 2048 16384'

# What a bare machine with torch lacks; --prepare takes the versions that are installed here.
carried='annotated-types antlr4-python3-runtime hydra-core omegaconf pydantic pydantic-core typing-extensions typing-inspection'

cd "$(dirname "$0")/.." || exit
python=${PYTHON:-}
[ -n "$python" ] || python=.venv/bin/python
[ -x "$(command -v "$python")" ] || python=python3

prepare() { # prepare VERSION
  folder=.gpu/python$1
  rm -rf "$folder"
  code='import sys; from importlib.metadata import version; print(*(f"{name}=={version(name)}" for name in sys.argv[1:]))'
  # shellcheck disable=SC2086 # names in a row
  pinned=$("$python" -c "$code" $carried) || exit
  # shellcheck disable=SC2086 # likewise; without dependencies, as sources may be built for another Python only so
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --target "$folder" \
    --implementation cp --python-version "$1" \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 $pinned || exit
  echo "$folder: $pinned"
}

now() { date +%s; }
least() { if [ "$1" -lt "$2" ]; then echo "$1"; else echo "$2"; fi; }

step() { # step NAME SECONDS COMMAND…: prints JSON lines, which are results; what it says otherwise is the log's
  name=$1 limit=$(least "$2" $((stage_end - $(now)))) began=$(now) code=0 ended='done'
  shift 2
  echo "== $name" >>"$log"
  if [ "$limit" -gt 0 ]; then
    timeout -k 15 "$limit" "$@" >>"$results" 2>>"$log" &
    child=$!
    wait "$child" || code=$?
    child=
    case $code in 0) ;; 124) ended='out of time' ;; *) ended=failed ;; esac
  else
    ended='not run'
  fi
  case $ended:$name in done:* | 'out of time:clone') ;; *) failed=1 ;; esac
  printf '{"stage": "%s", "step": "%s", "ended": "%s", "code": %d, "seconds": %d, "limit": %d, "line": %d}\n' "$stage" \
    "$name" "$ended" "$code" $(($(now) - began)) "$limit" $(($(wc -l <"$log"))) >>"$results"
  echo "  $name: $ended, $(($(now) - began)) s" >&2
}

stage() { # stage NAME SECONDS: the steps that follow take at most so many seconds together
  stage=$1 log=$out/$1.log stage_end=$(least $(($(now) + $2 * slack)) "$deadline")
  : >"$log"
  echo "$stage, $((deadline - $(now))) s left" >&2
}

facts() {
  step facts $((20 * slack)) "$python" benchmarks/gpu_stages.py facts
}

tests() {
  # The clone's teacher compiles beside tests and traces.
  if [ "$(now)" -lt "$stage_end" ]; then
    timeout -k 5 $((100 * slack)) "$python" benchmarks/policies.py 'cogsguard?gear=10' \
      --missions cogsguard_arena.basic --episodes 1 --steps 2 >"$work/beside.log" 2>&1 &
    beside=$!
  fi
  # Only files with such tests are read: others need packages that are not there.
  # shellcheck disable=SC2046 # paths without spaces
  step tests $((130 * slack)) "$python" benchmarks/gpu_stages.py tests -- -p no:cacheprovider -m "$marked" \
    $(grep -rl "$tested" tests --include='*.py')
}

traces() {
  step traces $((40 * slack)) "$python" tools/check_traces.py --json --backend "$backend" \
    "${TRACES:-tests/fixtures/traces}"/*.npz
}

environments() {
  [ -z "$beside" ] || wait "$beside" # or it would share the cores with what is measured
  beside=
  # shellcheck disable=SC2086 # numbers in a row
  step arena $((60 * slack)) "$python" benchmarks/env_throughput.py --json --backend "$backend" --rounds 5 \
    --seconds "$round" --envs $env_sizes
  # shellcheck disable=SC2086 # likewise
  step machina_1 $((40 * slack)) "$python" benchmarks/env_throughput.py --json --backend "$backend" --rounds 5 \
    --seconds "$round" --envs $machina_sizes --mission cogsguard_machina_1.basic
}

training() {
  while read -r net envs minibatch; do
    for precision in float32 bf16; do
      step "$net $precision" $((40 * slack)) "$python" benchmarks/train_throughput.py --json --policy "$net" \
        --precision "$precision" --envs "$envs" --minibatch "$minibatch" --horizon "$horizon" --device "$device" \
        --backend "$backend" --threads "$threads" --warmup 1 --epochs 3
    done
  done <<END
$nets
END
}

cloning() {
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <<END
$clone
$clone_sizes
END
  # Stopped in time, it still has to save; that its time is over is no failure.
  # shellcheck disable=SC2016 # for the inner shell
  step clone $((stage_end - $(now) - 25)) sh -c 'exec "$@" >&2' clone "$python" tools/run.py "$@" run=clone \
    device="$device" system.data_dir="$work" system.threads="$threads" system.log_outputs=true
  step curve 20 "$python" benchmarks/gpu_stages.py curve "$work/clone/metrics.jsonl" -- "$@"
  [ ! -d "$work/clone" ] || tar -C "$work" --exclude=trainer_state -czf "$out/clone.tar.gz" clone
}

end() { # end CODE: no process is left behind
  trap - INT TERM EXIT
  for process in $child $beside; do kill "$process"; done 2>/dev/null
  rm -rf "$work"
  exit "$1"
}

mode=${1:-}
case $mode in
  --prepare) prepare "${2:-3.12}" && exit ;;
  --rehearse)
    device=cpu backend=cpu threads=1 slack=10 rehearsal=true
    marked='not gpu' tested=work_that_is_only_queued round=0.02 env_sizes='2 4' machina_sizes=2 horizon=8
    nets='lstm 4 128'
    clone_sizes='trainer.total_timesteps=1024
trainer.batch_size=256
trainer.minibatch_size=64
trainer.bptt_horizon=8
mission.max_steps=16
training_env.map_pool=4
training_env.num_workers=1'
    ;;
  '')
    device=cuda backend=cuda threads=8 slack=1 rehearsal=false
    marked=gpu tested='mark\.gpu' round=0.5 env_sizes='1024 4096 16384 65536' machina_sizes='4096 16384' horizon=64
    ;;
  *) echo "error: unknown '$mode': --rehearse, --prepare or nothing" >&2 && exit 2 ;;
esac

budget=${BUDGET:-$((540 * slack))} out=${OUT:-gpu-results} child='' beside='' failed=0
deadline=$(($(now) + budget))
mkdir -p "$out" && out=$(cd "$out" && pwd) && work=$(mktemp -d) || exit
trap 'end 130' INT TERM
trap 'end 1' EXIT
results=$out/results.jsonl
export PYTHONPATH="$PWD" PYTHONUNBUFFERED=1
"$python" -c 'import hydra, omegaconf, pydantic' 2>/dev/null ||
  PYTHONPATH=$PWD:$PWD/.gpu/python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ -n "${CUDA_HOME:-}" ] || [ ! -d /usr/local/cuda ] || export CUDA_HOME=/usr/local/cuda

printf '{"benchmark": "gpu_book", "budget": %d, "rehearsal": %s}\n' "$budget" "$rehearsal" >"$results"
stage facts 20 && facts
stage tests 130 && tests
stage traces 40 && traces
stage env 90 && environments
stage train 170 && training
stage clone "$budget" && cloning
"$python" benchmarks/gpu_report.py "$out" || failed=1
end "$failed"
