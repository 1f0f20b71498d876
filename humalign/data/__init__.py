"""What is given: the registry of sources, readers of their public layouts, pictures, people's answers."""
