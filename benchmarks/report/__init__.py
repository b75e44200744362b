"""Result files into tables and charts."""
