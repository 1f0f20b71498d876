#!/usr/bin/env bash
# One run on a cluster: stages of one process on the first node, then one student on the GPUs of all nodes.
#
#     SHARED=/folder/that/all/nodes/see sbatch book/_static/slurm.sh train.py
#
# from a clone on shared storage in which `make setup` has run. Stopped by its time limit, the same command goes on where it was.
#SBATCH --job-name=humalign
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --output=humalign-%j.log
set -euo pipefail

train=${1:?name the script that trains a student, as in the chapter on reproduction}
shared=${SHARED:?set SHARED to a folder that all nodes see}
profile=${PROFILE:-demo}
bin=${BIN:-.venv/bin}

# Each stage is a command of its own; what is finished is reused, so that a job may also run one stage only.
for stage in pixels embeddings observers teachers triplets; do
    "$bin/humalign" run "$stage" --profile "$profile" --build "$shared"
done

# One torchrun a node; they meet at the first node, and start one process a GPU.
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes%%$'\n'*}
srun "$bin/torchrun" --nnodes "$SLURM_JOB_NUM_NODES" --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
    --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$head:${PORT:-29500}" "$train" "${@:2}"
