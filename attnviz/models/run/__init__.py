"""A model and what a user gives -> what attention did."""
