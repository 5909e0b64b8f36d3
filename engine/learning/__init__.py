"""What a fit learns, and from what it begins."""
