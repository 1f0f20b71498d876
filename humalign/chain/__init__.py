"""The chain as steps: what each needs, what it leaves, and whether what it left is still good."""
