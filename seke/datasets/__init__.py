"""Label layouts of the source sets -> one manifest, as `seke annotate` reads it."""
