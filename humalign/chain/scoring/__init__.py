"""Every evaluation of a run: one module a measure, one form of row, each evaluation by its name in `humalign.chain.steps`."""
