"""Places that data is fetched from: hubs, object stores, shared directories. No database."""
