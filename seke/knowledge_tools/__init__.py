"""The knowledge workbench: what is done to a knowledge base itself, without samples or beside them."""
