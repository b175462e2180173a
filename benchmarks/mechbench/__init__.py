"""A search over forms of attention guidance."""
