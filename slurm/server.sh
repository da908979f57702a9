#!/bin/bash
# One of a node's vLLM servers, one task of a step (common.sh, start_servers): the task's number on its node chooses GPU and port.
#   bash slurm/server.sh FIRST_PORT [words of `medcopilot serve`]
port=$(($1 + SLURM_LOCALID))
shift
if [[ -n ${CUDA_VISIBLE_DEVICES:-} ]]; then # the step's GPUs, by number or by UUID
  IFS=, read -ra gpus <<<"$CUDA_VISIBLE_DEVICES"
  ((SLURM_LOCALID < ${#gpus[@]})) || {
    echo "medcopilot: no GPU is left for server $((SLURM_LOCALID + 1)) of this node: lower SERVERS_PER_NODE" >&2
    exit 2
  }
  export CUDA_VISIBLE_DEVICES=${gpus[SLURM_LOCALID]}
else # a Slurm that does not hand out GPUs
  export CUDA_VISIBLE_DEVICES=$SLURM_LOCALID
fi
exec medcopilot serve --host 0.0.0.0 --port "$port" "$@"
