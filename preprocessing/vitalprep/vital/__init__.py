"""The `.vital` file format: gunzip, packet headers, the scan of records, whole recordings."""
