"""Repeat the negation benchmark on a real model: pairs of prompts through a running ComfyUI, over its HTTP API, judged by a vision-language model.

Only the judge needs ComfyUI's own modules; making the pictures needs the standard library and Pillow.
"""
