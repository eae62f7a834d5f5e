"""Bytes <-> records. A framing knows nothing of vendors; what stands in a record is the translator's business."""
