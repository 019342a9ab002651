"""GGUF files: llama.cpp's names and shapes of tensors, as the Hub's."""
