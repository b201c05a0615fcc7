"""`mmsent score`: posts of a file to scores, without any server."""
