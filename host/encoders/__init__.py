"""The host's text encoders: which are known, what of their tokens are the user's words, and which rows of their output those became."""
