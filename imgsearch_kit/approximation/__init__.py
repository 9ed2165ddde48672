"""Loss and speed of approximate methods: measured on an index, simulated, and tuned."""
