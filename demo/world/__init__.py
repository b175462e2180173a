"""Draw small scenes of things that almost always come with certain parts, with captions and ground truth."""
