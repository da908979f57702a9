# The one file that knows your site. Read it before submitting, in the checkout:
#   source slurm/site.sh && sbatch slurm/train.sbatch grpo recipes/qwen2.5-7b/grpo.yaml
# It also makes logs/, where Slurm writes a job's output: Slurm makes no folders, and without this one a job ends before its first line.
# sbatch takes account, partition and limits from these variables; every job reads the file again on its nodes.
mkdir -p logs
: "${MEDCOPILOT_ENV:=$PWD/.venv}"           # Python environment, on a file system that all nodes see
: "${MEDCOPILOT_SERVE_ENV:=$MEDCOPILOT_ENV}" # the one with vLLM, where it is another
# export SBATCH_ACCOUNT=... SBATCH_PARTITION=... SBATCH_QOS=... SBATCH_TIMELIMIT=24:00:00
# export SBATCH_GPUS_PER_NODE=8             # h100:8 where types are named; without GPUs leave it out
# Training and serving ask for whole nodes (--exclusive --mem=0). For a part of one, say how much on the command line:
#   sbatch --oversubscribe --cpus-per-task 16 --mem 200G --gpus-per-node 2 slurm/train.sbatch ...
# module load cuda/12.8                     # what compute nodes need
# export NCCL_SOCKET_IFNAME=ib0             # the interface between nodes
# A trainer gives its weights to servers on other nodes only where you allow it: whoever reaches a port of theirs (8000 and up) can then
# replace the model's weights and, through vLLM's development routes, run code as you, so only behind a firewall that you trust.
# export MEDCOPILOT_OPEN_SERVERS=1
export MEDCOPILOT_ENV MEDCOPILOT_SERVE_ENV
export HF_HUB_OFFLINE="${HF_HUB_OFFLINE:-1}" TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
export HF_HUB_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1
