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
echo "job $SLURM_JOB_ID on ${nodes[*]}, start $((restarts + 1)): $(date -Is)"

# run_step COMMAND...: an srun in the background that a signal to the job reaches. Returns its exit code. When the job was told to make
# room (its time limit by --signal, or a preemption, which reaches the step alone), the same job goes back into the queue and goes on
# there; a job that was cancelled does not.
told=
export MEDCOPILOT_PREEMPTED="$PWD/$logs/preempted" # a recipe that saved because it was told to leaves this file
run_step() {
  rm -f "$MEDCOPILOT_PREEMPTED"
  "$@" &
  step=$!
  trap 'told=1; echo "told to make room: $(date -Is)"; kill -TERM "$step" 2>/dev/null' TERM
  wait "$step"
  local code=$?
  while kill -0 "$step" 2>/dev/null; do # the trap ends the first wait; the step is still saving
    wait "$step"
    code=$?
  done
  trap - TERM
  [[ -e $MEDCOPILOT_PREEMPTED || $code == 143 ]] && told=1
  if [[ -n $told && $code != 0 && $(scontrol show job --oneliner "$SLURM_JOB_ID") == *" JobState=RUNNING "* ]]; then
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
