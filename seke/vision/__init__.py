"""Clients of vision models: messages, prompts' bodies, prices, limits, and made-up models for tests."""
