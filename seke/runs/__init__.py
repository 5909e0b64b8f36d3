"""The folder of a run: its items, its ledger, the batches that it waits for."""
