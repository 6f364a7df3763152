"""What the project costs, measured side by side with the floor below which nothing can go. ``make bench`` runs all rows."""
