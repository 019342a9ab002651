"""Figures from an Architecture alone: parameters, cache, FLOPs, memory, sharding. Pure."""
