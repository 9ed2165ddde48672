"""Which features and ranking suit a labelled folder, judged on pictures that had no part in the choice."""
