"""The second witness: what tensor headers say. `join` holds a family's template against them, `observe` reads them without a family.

packing (stored to logical tensors, a file per format) -> spelling (names in one form) -> meeting (numbers and shapes; fused where needed)
-> leftovers, lacking, facts, dtypes (what did not meet, and what it contradicts) -> join.Check.
"""
