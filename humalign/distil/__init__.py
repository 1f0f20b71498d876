"""From labelled triplets to a student."""
