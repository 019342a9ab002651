"""What an architecture is: the schema, its meaning, and its identity. Imports no other room."""
