"""What runs it: settings, connections, servers for one machine, roles, and the command line."""
