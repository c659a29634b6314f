"""The `.vital` file format: decompression, header packets, scanning of records, reading of recordings."""
