"""What kubedoctor shows, one form of output a module; nothing here prints of itself."""
