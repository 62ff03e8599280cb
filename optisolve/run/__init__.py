"""One run: a solver meets an instance, the answer is verified, scored and recorded; nothing here believes a solver."""
