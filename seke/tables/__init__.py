"""Label tables, and files of posterior records."""
