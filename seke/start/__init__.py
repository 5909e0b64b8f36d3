"""Where a user starts: a demo to look at, a folder for a study, and the file of its options."""
