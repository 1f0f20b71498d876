"""Every evaluation of a run: one module a measure, each evaluation by its name in `humalign.chain.steps`."""
