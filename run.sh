#!/usr/bin/env bash
# See it work: starts the real ComfyUI with Avert in it, makes a picture with and without a negative prompt at cfg 1, and shows the report.
# Without a ComfyUI on this machine it shows the engine alone.
set -euo pipefail
cd "$(dirname "$0")"
. .ci/environment.sh
comfyui=$(find_comfyui)
python=$(make_python "$comfyui")
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ -n "$comfyui" ]; then
  COMFYUI_PATH=$comfyui exec "$python" demo/first_run.py "$@"
fi
echo "No ComfyUI found (set COMFYUI_PATH to one): showing the attention engine alone, on this machine."
exec "$python" benchmarks/attention.py --model sd35 --rounds 5
