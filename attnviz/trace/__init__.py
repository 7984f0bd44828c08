"""What attention did: frozen data, the recorder that collects it, and its files."""
