"""Standard tasks: prompts of the literature, made for the tokenizer of a model that you bring."""
