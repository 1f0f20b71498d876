"""The paper's own chain, at its own scale or in small: what each stage does, one module a stage."""
