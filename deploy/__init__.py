"""How the product is started and shown: real programs on loopback (`local`), and the demo that drives it by its command line."""
