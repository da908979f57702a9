# What the jobs share. Sourced by them in the folder from which they were submitted.
set -uo pipefail
cd "${SLURM_SUBMIT_DIR:?this is a Slurm job script: submit it with sbatch}" || exit 2
source slurm/site.sh
logs="logs/slurm/$SLURM_JOB_ID"
mkdir -p "$logs"
[[ -x $MEDCOPILOT_ENV/bin/python ]] || {
  echo "medcopilot: $MEDCOPILOT_ENV/bin/python is not there: set MEDCOPILOT_ENV in slurm/site.sh" >&2
  exit 2
}
export PATH="$MEDCOPILOT_ENV/bin:$PATH" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
restarts=${SLURM_RESTART_COUNT:-0}
gpus=${SLURM_GPUS_ON_NODE:-0}
step_gpus=() # a step of an exclusive job gets the GPUs that it asks for, not those that came with the node
((gpus > 0)) && step_gpus=(--gpus-per-node="$gpus")
echo "job $SLURM_JOB_ID on ${nodes[*]}, start $((restarts + 1)): $(date -Is)"

# run_step COMMAND...: an srun in the background that a signal to the job reaches. Returns its exit code. When the job was told to make
# room (its time limit by --signal, or a preemption), the same job goes back into the queue and goes on there; a job that was cancelled
# does not.
told=
export MEDCOPILOT_PREEMPTED="$PWD/$logs/preempted" # a recipe that saved because it was told to leaves this file
run_step() {
  rm -f "$MEDCOPILOT_PREEMPTED"
  "$@" &
  step=$!
  trap 'told=1; echo "told to make room: $(date -Is)"; kill -TERM "$step" 2>/dev/null' TERM
  wait "$step"
  local code=$? job
  while kill -0 "$step" 2>/dev/null; do # the trap ends the first wait; the step is still saving
    wait "$step"
    code=$?
  done
  trap - TERM
  job=$(scontrol show job --oneliner "$SLURM_JOB_ID")
  [[ -e $MEDCOPILOT_PREEMPTED || $code == 143 ]] && told=1
  was_preempted "$job" && told=1
  if [[ -n $told && $code != 0 && $job == *" JobState=RUNNING "* ]]; then
    if ((restarts < ${MEDCOPILOT_MAX_RESTARTS:-100})); then
      echo "back into the queue"
      scontrol requeue "$SLURM_JOB_ID"
      sleep 60 # the requeue ends this script
    else
      echo "medcopilot: restarted $restarts times already (MEDCOPILOT_MAX_RESTARTS): submit the job again to go on" >&2
    fi
  fi
  return "$code"
}

# was_preempted JOB: whether Slurm says so of this start. The signal reaches the step alone, and of several processes that did not save
# in time nothing is left but the exit code of their launcher, 1.
was_preempted() {
  local when
  [[ $1 =~ \ PreemptTime=([0-9T:-]+) ]] || return 1
  when=${BASH_REMATCH[1]}
  [[ $1 =~ \ StartTime=([0-9T:-]+) && ! $when < ${BASH_REMATCH[1]} ]]
}

# open_servers SYNC: weights of servers may be replaced from other nodes, where slurm/site.sh says so.
open_servers() {
  [[ ${MEDCOPILOT_OPEN_SERVERS:-} == 1 ]] || {
    echo "medcopilot: trainers reach these servers from other nodes, and so does whoever else can, to replace their weights: where only" \
      "you can, set MEDCOPILOT_OPEN_SERVERS=1 in slurm/site.sh" >&2
    exit 2
  }
  export VLLM_SERVER_DEV_MODE=1
  [[ $1 != lora ]] || export VLLM_ALLOW_RUNTIME_LORA_UPDATING=1
}

# Servers: one per GPU of a node (SERVERS_PER_NODE: another number), on the ports from SERVE_PORT on.
per_node=${SERVERS_PER_NODE:-$((gpus > 0 ? gpus : 1))}
first_port=${SERVE_PORT:-8000}
# start_servers LOGS SRUN-OPTIONS... -- WORDS OF medcopilot serve...: does not return, the shell becomes srun
start_servers() {
  local output=$1 options=()
  shift
  while [[ $1 != -- ]]; do
    options+=("$1")
    shift
  done
  shift
  export PATH="$MEDCOPILOT_SERVE_ENV/bin:$PATH"
  exec srun "${options[@]}" --ntasks-per-node="$per_node" "${step_gpus[@]}" --kill-on-bad-exit=1 --output="$output" \
    bash slurm/server.sh "$first_port" "$@"
}
# addresses NODE...: one line per server
addresses() {
  local node i
  for node; do
    for ((i = 0; i < per_node; i++)); do echo "http://$node:$((first_port + i))"; done
  done
}
