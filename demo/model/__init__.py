"""The demo world's models in plain PyTorch, equal to the host's classes, with the host's keys: nothing here needs ComfyUI."""
