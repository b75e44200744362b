"""Explanations: why a network classifies an image as it does, as records, terminal text and an HTML page."""
