"""PostgreSQL: connections, the schema's migrations, partitions and COPY."""
