"""Simulation of a policy: what it asks, costs, accepts and gets wrong on simulated items."""
