"""Where records of strangers are checked: audit, replay, submissions, the board, its site, held-out seeds."""
