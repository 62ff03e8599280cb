"""Was the language model needed? A solver beside its controls, over paired runs."""
