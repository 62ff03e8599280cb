"""From words to a typed goal to a verified answer: grounding, questions instead of guesses, relaxations, labelled intents."""
