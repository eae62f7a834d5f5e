"""Transcripts, and what each vendor calls a conversation and has seen of it."""
