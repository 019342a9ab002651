"""The field's words for single blocks and values: `GQA`, `RMSNorm`, `YaRN × 40 from 4,096`.

The catalogue and the views use them. Words for a whole architecture are in views/wording.py.
"""
