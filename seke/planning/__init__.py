"""What a policy would ask, cost, accept and get wrong, on items that are made up."""
