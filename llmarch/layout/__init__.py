"""Give a figure places: measured text, boxes, wires and pictures on one plane.

`compose.drawing` is the entry. A drawing has no format: renderers write it. Lengths are in pixels
at scale 1, from the upper left corner.
"""
