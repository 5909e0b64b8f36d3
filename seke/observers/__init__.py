"""Observers that are programs on this machine: networks that look at a picture and answer as samples do.

`seen` has what they are shown and the protocol that they follow, `networks` their files, `panel` several of
them at once.
"""
