// ApusWire
