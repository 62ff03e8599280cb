"""From words to models: requests over a family (`ask`) and models of any problem (`formulate`)."""
