"""Read answers: what was said aloud (spoken), in English (languages); JSON (structured, loose), tables, or lines (lists); who affirms and who denies (claims)."""
