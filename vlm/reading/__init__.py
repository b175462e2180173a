"""Read answers, in steps: what was said aloud (spoken); JSON (structured, loose) or tables, or lines (lists); who affirms and who denies (claims); tidy names."""
