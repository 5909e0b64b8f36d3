"""Questions that people answer: tasks out, answers in, decisions anew."""
