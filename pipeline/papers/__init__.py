"""The five papers, a folder each: networks and losses, how they are trained, how they are used, and what they declare."""
