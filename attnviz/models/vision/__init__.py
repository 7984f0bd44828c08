"""Images in, what a vision model makes of them out."""
