"""Measuring: tasks, the runner that writes one line per question, and what those lines add up to."""
