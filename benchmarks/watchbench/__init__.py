"""VL-DNP against static negatives that name everything: what is kept out, and what happens to pictures that never had it."""
