// ApusIO
