"""One SSE API in front of every conversational vendor."""
