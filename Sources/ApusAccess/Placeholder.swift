enum ApusAccessPlaceholder {}
