"""Time series from files: long and wide tables, arrays, the UEA archive; windows of them as samples."""
