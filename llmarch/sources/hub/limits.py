"""How much may be asked of the Hub at once."""

from __future__ import annotations

CONNECTIONS = 32
"""Requests under way at once, of all models together.

Measured on DeepSeek-V3's 161 shards (benchmarks/README.md): 8 take 2.9 s in all, 16 1.8 s,
32 1.4 s, 64 1.2 s. No more than 32, because huggingface_hub's session keeps 20 idle connections:
beyond that each request would pay for a new one.
"""
