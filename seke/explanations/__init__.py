"""Why this label: facts about one item, in words, pictures and pages."""
