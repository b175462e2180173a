#!/usr/bin/env bash
# See it work: four prompts without guidance and with VSF, NAG and NASA, on a tiny model that comes with Avert.
# With a ComfyUI on this machine through its real server, else with Avert's own sampler. Pictures go to output/.
set -euo pipefail
cd "$(dirname "$0")"
. .ci/environment.sh
comfyui=$(find_comfyui)
python=$(make_python "$comfyui")
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
if [ -n "$comfyui" ]; then export COMFYUI_PATH=$comfyui; fi
exec "$python" demo/first_run.py "$@"
