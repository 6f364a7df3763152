"""What the project costs, side by side with the floor below which nothing can go, and with its peers. ``make bench`` runs all rows."""
