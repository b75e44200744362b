"""What the commands do, one file each; the modules that people run load them once Ctrl-C is looked after."""
