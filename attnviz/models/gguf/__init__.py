"""What GGUF files hold, and how it differs from Hugging Face's checkpoints."""
