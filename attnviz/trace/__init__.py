"""What attention did: frozen data, what collects it, and its files."""
