// ApusFormats
