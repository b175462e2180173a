"""Measure negation in the demo world, as NegGenBench of the VSF paper does with large models: pairs of prompts, methods, scores."""
