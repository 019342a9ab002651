"""What `import llmarch` gives: models with their numbers, comparisons and plans as objects."""
