"""What clients reach: the dialects' routes, health and metrics, and the edge that every request passes."""
