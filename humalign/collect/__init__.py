"""Collect answers to odd-one-out triplets: a page to be sent to people, and the reading of what they save."""
