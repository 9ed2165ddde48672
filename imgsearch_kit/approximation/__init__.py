"""What an approximate method loses and saves: measured on an index, simulated, and tuned."""
