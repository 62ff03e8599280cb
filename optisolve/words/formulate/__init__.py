"""Word problems, turned into models whose every number is a quotation."""
