"""The application as people use it: a real browser, web server, workers and MySQL."""
