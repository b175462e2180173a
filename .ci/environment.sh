# Sourced by `run.sh` and `.ci/run`: where ComfyUI is, and a Python that has what it needs. Nothing of the system's Python changes.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
TORCH="torch==2.11.0 torchvision==0.26.0 torchaudio==2.11.0"

# Print the ComfyUI to use: COMFYUI_PATH, else the one whose custom_nodes folder holds the pack, else comfy-cli's default; nothing if none.
find_comfyui() {
  if [ -n "${COMFYUI_PATH:-}" ]; then
    [ -f "$COMFYUI_PATH/comfy/model_base.py" ] && echo "$COMFYUI_PATH"
    return 0
  fi
  local here=$ROOT place
  for place in "$(dirname "$(dirname "$here")")" "$HOME/comfy/ComfyUI"; do
    if [ "$place" = "$HOME/comfy/ComfyUI" ] || [ "$(basename "$(dirname "$here")")" = custom_nodes ]; then
      if [ -f "$place/comfy/model_base.py" ]; then echo "$place"; return 0; fi
    fi
  done
}

# Make a virtual environment for a ComfyUI ("" for none) and print its Python. Kept, and made anew when its requirements change.
make_python() {
  local comfyui=$1 files=("$ROOT/requirements-dev.txt") key dir
  if [ -n "$comfyui" ]; then files+=("$comfyui/requirements.txt"); fi
  key=$( (echo "$TORCH"; cat "${files[@]}") | cksum | cut -d' ' -f1)
  dir="$ROOT/.venvs/$key"
  if [ ! -f "$dir/ready" ]; then
    rm -rf "$dir"
    python3 -m venv "$dir" >&2
    "$dir/bin/python" -m pip install -q --disable-pip-version-check uv >&2
    # Not from an index of its own: the plain package runs on the CPU as well.
    # shellcheck disable=SC2086
    "$dir/bin/uv" pip install -q --python "$dir/bin/python" $TORCH >&2
    local file
    for file in "${files[@]}"; do "$dir/bin/uv" pip install -q --python "$dir/bin/python" -r "$file" >&2; done
    touch "$dir/ready"
  fi
  echo "$dir/bin/python"
}
