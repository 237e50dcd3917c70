enum ApusTLSPlaceholder {}
